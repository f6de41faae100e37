//! What `trace` and `check` show in a real terminal (tmux) of two sizes, while they look and at the end: held as text, and kept
//! with its colours for the pictures of the documentation (`ase-lab screen-pictures`).

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use crate::{
    process::{require, run, wait_for},
    routers::{OPEN, PROXIED, Routers, TARGETS},
};

/// Columns and lines of the terminals.
const SIZES: [(usize, usize); 2] = [(80, 24), (200, 50)];
/// A port whose packets are lost on the way.
const LOST: u16 = 5000;
/// The shell's prompt, which stands below what ended.
const PROMPT: &str = "$ ";

/// What is looked at: the words of the command, and what tells that the screen shows what is to be seen while it looks.
struct Show {
    name: &'static str,
    words: &'static [&'static str],
    is_busy: fn(&str) -> bool,
}

const SHOWS: [Show; 2] = [
    Show { name: "trace", words: &["trace", TARGETS[0], "--flows", "8", "--names"], is_busy: is_tracing },
    Show { name: "check", words: &["check"], is_busy: is_checking },
];

/// All flows have passed the fourth router.
fn is_tracing(screen: &str) -> bool {
    let passed = |line: &str| line.starts_with("   4  10.9.5.2 ") && line.ends_with("  all");
    screen.lines().any(passed) && screen.lines().any(|line| line.contains("s waiting for hop "))
}

/// What refuses is known to, what is lost is waited for.
fn is_checking(screen: &str) -> bool {
    screen.contains("3 of 4 settled, 1 failed; waiting for ")
}

/// A terminal whose command ends with a prompt; it ends with this value.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    fn start(socket: &Path, (columns, lines): (usize, usize), command: &[String]) -> Self {
        let quoted: Vec<String> = command.iter().map(|word| format!("'{word}'")).collect();
        let script = format!("{}; printf '{PROMPT}'; exec sleep 600", quoted.join(" "));
        let terminal = Self { socket: socket.to_owned() };
        let (columns, lines) = (columns.to_string(), lines.to_string());
        let started = terminal.ask(&["new-session", "-d", "-x", &columns, "-y", &lines, &script]);
        assert!(started.is_ok(), "tmux: {started:?}");
        terminal
    }

    fn ask(&self, words: &[&str]) -> Result<String, String> {
        let mut tmux = Command::new("tmux");
        tmux.args(["-f", "/dev/null", "-S"]).arg(&self.socket).args(words);
        let output = run(tmux.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR"));
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
    }

    /// The screen, with its colours, once it shows what is waited for.
    fn until(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        wait_for(what, || {
            let screen = self.ask(&["capture-pane", "-p", "-e"]).ok()?;
            fits(&plain(&screen)).then_some(screen)
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.ask(&["kill-server"]));
    }
}

/// A screen without its colours, and without blanks at the ends of lines.
fn plain(screen: &str) -> String {
    let text = ase_lab::screen_pictures::plain(screen);
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The captures of one show in one size: while it looks, and at its end.
fn captured(routers: &Routers, show: &Show, size: (usize, usize)) -> [(String, String); 2] {
    let (columns, lines) = size;
    let socket = routers.place(&format!("{}-{columns}.tmux", show.name));
    let command = routers.agent_command(show.words);
    let terminal = Terminal::start(&socket, size, &command);
    let name = |state: &str| format!("{}{state}-{columns}x{lines}", show.name);
    let busy = terminal.until(&name("-busy"), show.is_busy);
    let ended = terminal.until(&name(""), |screen| screen.trim_end().ends_with(PROMPT.trim_end()));
    [(name("-busy"), busy), (name(""), ended)]
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/terminal").join(format!("{name}.ansi"))
}

/// A number that is measured or drawn anew each time.
fn is_measured(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| !c.is_ascii_digit());
    let is_time = word.contains('T') && word.contains(':') && word.contains('-');
    let is_port = bare.len() == 5 && bare.bytes().all(|byte| byte.is_ascii_digit());
    is_time || is_port
}

/// What must be the same in every run: where columns stand, and every word but those that are measured. Which flows a balancing
/// router sends where is drawn anew at every boot, and how far the rest of a way is while it is walked depends on the moment.
fn steady(name: &str, screen: &str) -> Vec<String> {
    let screen = plain(screen);
    let is_busy = name.contains("-busy");
    let is_drawn = |line: &str| {
        let (third, further) =
            (line.starts_with("   3  ") || line.starts_with("      10.9."), line.starts_with("   5  "));
        third || line.contains("balanced") || is_busy && (further || line.starts_with("   6  "))
    };
    let mut kept = Vec::new();
    for line in screen.lines().filter(|line| !is_drawn(line)) {
        let mut words: Vec<String> = Vec::new();
        for word in line.split(' ') {
            let follows_time = matches!(word, "ms" | "s" | "ms," | "ms;") && words.iter().any(|word| !word.is_empty());
            if follows_time && let Some(number) = words.iter_mut().rev().find(|word| !word.is_empty()) {
                "#".clone_into(number);
            }
            words.push(if is_measured(word) { "#".to_owned() } else { word.to_owned() });
        }
        let line = words.join(" ");
        // Where a time is as long as another, its column stands where it stood; the blanks before it are counted with it.
        let squeezed = line.split(" #").map(str::trim_end).collect::<Vec<_>>().join(" #");
        let is_waiting = is_busy && squeezed.contains(" waiting for ");
        kept.push(if is_waiting { "# waiting".to_owned() } else { squeezed });
    }
    kept.retain(|line| !line.is_empty());
    // What an incident rests on comes in any order; behind the incidents stand the classes, and the answer again.
    let classes = kept.iter().position(|line| line.starts_with("class ")).filter(|_| !is_busy);
    kept.split_off(classes.unwrap_or(0))
}

fn wrong(name: &str, screen: &str, columns: usize) -> Option<String> {
    if env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::create_dir_all(file(name).parent().expect("it has a folder")).expect("the folder can be made");
        fs::write(file(name), screen).expect("the golden file can be written");
    }
    let golden = fs::read_to_string(file(name)).unwrap_or_default();
    let (is, was) = (steady(name, screen), steady(name, &golden));
    let is_wide = plain(screen).lines().any(|line| line.chars().count() > columns);
    let is_grey = !name.contains("-busy") && !screen.contains('\u{1b}');
    let differs = is != was || is_wide || is_grey;
    differs.then(|| format!("{name}: UPDATE_GOLDEN=1 if this is meant\n{is:#?}\nis not\n{was:#?}\n{}", plain(screen)))
}

#[test]
fn terminals_of_two_sizes_show_what_is_waited_for_and_then_the_whole() {
    if !require("tmux", "tmux") {
        return;
    }
    let Some(routers) = Routers::new() else { return };
    routers.name_everybody();
    routers.cut(LOST, "drop");
    routers.watch(&[OPEN, PROXIED, 9, LOST]);
    let routers = &routers;
    let captures: Vec<_> = thread::scope(|scope| {
        let started: Vec<_> = SHOWS
            .iter()
            .flat_map(|show| SIZES.map(|size| (show, size)))
            .map(|(show, size)| (size, scope.spawn(move || captured(routers, show, size))))
            .collect();
        started.into_iter().map(|(size, started)| (size, started.join().expect("a terminal ends"))).collect()
    });
    let each = captures.iter().flat_map(|((columns, _), screens)| screens.iter().map(|screen| (*columns, screen)));
    let wrong: Vec<String> = each.filter_map(|(columns, (name, screen))| wrong(name, screen, columns)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
