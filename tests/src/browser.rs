//! A real browser without a window (Chromium), told what to do by its DevTools protocol over two pipes, with a profile of its
//! own that is gone at the end. It asks nobody but the pages it is sent to.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than any page of the tests takes; only what fails waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What keeps it quiet: no sandbox (it runs as root in namespaces), no graphics card, no QUIC, nothing in the background.
const QUIET: [&str; 13] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Its width in CSS pixels.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// Device pixels of each.
    pub scale: f64,
    /// Whether the reader prefers dark.
    pub is_dark: bool,
}

/// A browser with one tab.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: File,
    from: Receiver<Value>,
    session: Value,
    number: u64,
    /// What the browser complained of: scripts that failed, what a policy forbade.
    pub complaints: Vec<String>,
    _folder: TempDir,
}

impl Browser {
    /// Starts one by `command`, which is the words before the browser's own arguments.
    ///
    /// # Errors
    /// When it does not start or does not answer.
    pub fn start(command: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("ase-lab-browser-").tempdir()?;
        let path = folder.path().display();
        let pipes = ["to", "from"].map(|name| folder.path().join(name));
        let made = Command::new("mkfifo").args(&pipes).status().context("cannot run mkfifo")?;
        ensure!(made.success(), "cannot make pipes");
        let script = r#"folder=$0; exec "$@" 3<"$folder/to" 4>"$folder/from""#;
        let log = File::create(folder.path().join("log"))?;
        let child = Command::new("sh")
            .args(["-c", script, &path.to_string()])
            .args(command)
            .args(QUIET)
            .arg(format!("--user-data-dir={path}/profile"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start a shell")?;
        // Opening a pipe waits for its other end, which the shell opens before it becomes the browser.
        let to = File::options().write(true).open(&pipes[0])?;
        let from = listen(File::open(&pipes[1])?);
        let (session, complaints) = (Value::Null, Vec::new());
        let mut browser = Self { child, to, from, session, number: 0, complaints, _folder: folder };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"}))?["targetId"].clone();
        let attached = browser.ask("Target.attachToTarget", json!({"targetId": target, "flatten": true}))?;
        browser.session = attached["sessionId"].clone();
        for domain in ["Page.enable", "Log.enable", "Runtime.enable"] {
            browser.ask(domain, json!({}))?;
        }
        Ok(browser)
    }

    /// Sets how pages are looked at.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn look_by(&mut self, screen: Screen) -> Result<()> {
        let Screen { width, height, scale, is_dark } = screen;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500});
        self.ask("Emulation.setDeviceMetricsOverride", metrics)?;
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!({"media": "", "features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.ask("Emulation.setEmulatedMedia", features).map(drop)
    }

    /// Shows the page as it is printed, until it is looked at by a screen again.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn look_as_printed(&mut self) -> Result<()> {
        self.ask("Emulation.setEmulatedMedia", json!({"media": "print"})).map(drop)
    }

    /// Shows the page to a reader who prefers something (a media feature and its value), until it is looked at by a screen again.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn look_as_preferred(&mut self, feature: &str, value: &str) -> Result<()> {
        let features = json!({"media": "", "features": [{"name": feature, "value": value}]});
        self.ask("Emulation.setEmulatedMedia", features).map(drop)
    }

    /// Goes to a page and waits until it is loaded.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub fn go(&mut self, url: &str) -> Result<()> {
        let answer = self.ask("Page.navigate", json!({"url": url}))?;
        ensure!(answer["errorText"].is_null(), "{url}: {}", answer["errorText"]);
        self.wait_until_loaded()
    }

    /// Waits until the page that it goes to by itself is loaded.
    ///
    /// # Errors
    /// When none is.
    pub fn wait_until_loaded(&mut self) -> Result<()> {
        self.until(|message| message["method"] == "Page.loadEventFired").map(drop)
    }

    /// What an expression of the page's own language gives.
    ///
    /// # Errors
    /// When it fails.
    pub fn value(&mut self, expression: &str) -> Result<Value> {
        let question = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.ask("Runtime.evaluate", question)?;
        ensure!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        Ok(answer["result"]["value"].clone())
    }

    /// Waits until an expression holds in the page.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn wait_until(&mut self, expression: &str) -> Result<()> {
        let millis = PATIENCE.as_millis();
        let wait = format!(
            "new Promise((yes, no) => {{ const look = () => ({expression}) ? yes(true) : setTimeout(look, 50); look(); \
             setTimeout(() => no(new Error('not in time')), {millis}); }})"
        );
        self.value(&wait).map(drop).with_context(|| format!("waiting for {expression}"))
    }

    /// Presses a key, as a keyboard would: its name in the standard for `KeyboardEvent.key`.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn press(&mut self, key: &str) -> Result<()> {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            _ => bail!("the key {key} is not known here"),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.ask("Input.dispatchKeyEvent", event)?;
        }
        Ok(())
    }

    /// Types a text where the focus is.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn enter(&mut self, text: &str) -> Result<()> {
        self.ask("Input.insertText", json!({"text": text})).map(drop)
    }

    /// Runs a script on every page that is opened from now on, before those of the page.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn run_before(&mut self, script: &str) -> Result<()> {
        self.ask("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).map(drop)
    }

    /// How many nodes and listeners the pages hold once what nobody holds was thrown away.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn held(&mut self) -> Result<(u64, u64)> {
        self.ask("HeapProfiler.collectGarbage", json!({}))?;
        let held = self.ask("Memory.getDOMCounters", json!({}))?;
        let count = |what: &str| held[what].as_u64().with_context(|| format!("the browser does not count {what}"));
        Ok((count("nodes")?, count("jsEventListeners")?))
    }

    /// Writes what is seen, `height` CSS pixels from the top, as a PNG file.
    ///
    /// # Errors
    /// When there is no picture, or it cannot be written.
    pub fn picture(&mut self, path: &Path) -> Result<()> {
        let answer = self.ask("Page.captureScreenshot", json!({"format": "png"}))?;
        let picture = answer["data"].as_str().and_then(from_base64).context("the browser drew nothing")?;
        fs::write(path, picture).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Asks the browser and waits for its answer.
    fn ask(&mut self, method: &str, params: Value) -> Result<Value> {
        self.number += 1;
        let number = self.number;
        let mut question = json!({"id": number, "method": method, "params": params});
        if !self.session.is_null() {
            question["sessionId"] = self.session.clone();
        }
        self.to.write_all(format!("{question}\0").as_bytes()).context("the browser is gone")?;
        let answer = self.until(|message| message["id"] == number)?;
        ensure!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        Ok(answer["result"].clone())
    }

    /// Takes messages until one fits, and keeps the complaints among them.
    fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        loop {
            let message = self.from.recv_timeout(PATIENCE + PATIENCE).context("the browser does not answer")?;
            let params = &message["params"];
            match message["method"].as_str() {
                Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                    self.complaints.push(format!("{} {}", params["entry"]["text"], params["entry"]["url"]));
                }
                Some("Runtime.exceptionThrown") => self.complaints.push(params["exceptionDetails"].to_string()),
                _ => {}
            }
            if fits(&message) {
                return Ok(message);
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends its own helpers when it is asked to; who does not, is ended.
        drop(self.ask("Browser.close", json!({})));
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Reads messages, which end with a zero byte, on a thread of its own: a read knows no time-out.
fn listen(pipe: File) -> Receiver<Value> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for message in BufReader::new(pipe).split(0).map_while(Result::ok) {
            let Ok(message) = serde_json::from_slice(&message) else { continue };
            if tell.send(message).is_err() {
                return;
            }
        }
    });
    told
}

/// Bytes written in base 64 (RFC 4648 section 4); `None` if it is not that.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(text.len() / 4 * 3), 0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_the_rfc_writes_it() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")] {
            assert_eq!(from_base64(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(from_base64("a?"), None);
    }
}
