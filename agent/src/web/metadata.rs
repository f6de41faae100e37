//! Asks Azure's metadata service about this machine, and a reflector by which address it leaves: two questions over HTTP that go
//! straight there, through no proxy, and only when they are wanted.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ase_probes::tls::Trust;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1,
    header::{HOST, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::readers::doctor::{Event, Instance, Metadata};

/// The longest answer that is read, in bytes.
const LONGEST: usize = 256 << 10;
/// The time that one question gets. The first one for events of a machine may take two minutes; who asks again is answered.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where the service is on every machine of Azure (azure.com, "Azure Instance Metadata Service").
pub const SERVICE: &str = "http://169.254.169.254";
/// What is asked, with the versions of those documents: the machine, its load balancer, what is planned with it.
const INSTANCE: &str = "/metadata/instance?api-version=2021-02-01";
const BALANCER: &str = "/metadata/loadbalancer?api-version=2020-10-01";
const EVENTS: &str = "/metadata/scheduledevents?api-version=2019-01-01";

/// Asks the service at this address all that is wanted of it, side by side.
pub async fn ask(base: &Uri, trust: &Trust) -> Metadata {
    let base = base.to_string();
    let base = base.trim_end_matches('/');
    let (instance, balancer, events) =
        tokio::join!(document(base, INSTANCE, trust), document(base, BALANCER, trust), document(base, EVENTS, trust),);
    Metadata {
        instance: instance.and_then(|value| instance_of(&value).ok_or_else(unreadable)),
        balancer: balancer.map(|value| balancer_of(&value)),
        events: events.and_then(|value| events_of(&value).ok_or_else(unreadable)),
    }
}

/// Asks a reflector by which address this machine reaches it: it answers with nothing but that.
///
/// # Errors
/// Why there is no address.
pub async fn reflected(reflector: &Uri, trust: &Trust) -> Result<IpAddr, String> {
    let (status, body) = get(reflector, trust, None).await?;
    let text = std::str::from_utf8(&body).unwrap_or_default().trim();
    match text.parse() {
        Ok(address) if status.is_success() => Ok(address),
        _ => Err(format!("it answered {status} and no address")),
    }
}

/// Checks an address that is to be asked.
///
/// # Errors
/// The rule that it breaks, with the text.
pub fn address(text: &str) -> Result<Uri, String> {
    let broken = || format!("({}) must be a URL with http or https and a host", text.escape_debug());
    let uri: Uri = text.parse().map_err(|_| broken())?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    if is_web && uri.host().is_some_and(|host| !host.is_empty()) { Ok(uri) } else { Err(broken()) }
}

fn unreadable() -> String {
    "its answer is not in the documented form".to_owned()
}

async fn document(base: &str, path: &str, trust: &Trust) -> Result<Value, String> {
    let uri = address(&format!("{base}{path}"))?;
    let header = (HeaderName::from_static("metadata"), HeaderValue::from_static("true"));
    let (status, body) = get(&uri, trust, Some(header)).await?;
    if !status.is_success() {
        return Err(format!("it answered {status}"));
    }
    serde_json::from_slice(&body).map_err(|_| unreadable())
}

async fn get(
    uri: &Uri,
    trust: &Trust,
    header: Option<(HeaderName, HeaderValue)>,
) -> Result<(StatusCode, Bytes), String> {
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path).header(HOST, authority.as_str());
    let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let answer = async {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let stream = connect(uri, &host).await.map_err(|error| error.to_string())?;
        if uri.scheme_str() != Some("https") {
            return exchange(stream, request).await;
        }
        let server = ServerName::try_from(host).map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::clone(&trust.strict_client()));
        exchange(connector.connect(server, stream).await.map_err(|error| format!("TLS: {error}"))?, request).await
    };
    timeout(PATIENCE, answer).await.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
}

#[expect(clippy::disallowed_methods, reason = "this is no probe: nothing is concluded but that there is no answer")]
async fn connect(uri: &Uri, host: &str) -> std::io::Result<TcpStream> {
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    TcpStream::connect((host, port)).await
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> Result<(StatusCode, Bytes), String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        answered = &mut answer => answered,
        _ = &mut connection => answer.await,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn instance_of(value: &Value) -> Option<Instance> {
    let compute = value.get("compute")?;
    let mut instance = Instance {
        cloud: text(compute, "azEnvironment").to_owned(),
        region: text(compute, "location").to_owned(),
        ..Instance::default()
    };
    for family in items(value.get("network")?, "interface").flat_map(|one| [one.get("ipv4"), one.get("ipv6")]).flatten()
    {
        for address in items(family, "ipAddress") {
            instance.private.extend(text(address, "privateIpAddress").parse::<IpAddr>());
            instance.public.extend(text(address, "publicIpAddress").parse::<IpAddr>());
        }
        let prefix = |subnet: &Value| format!("{}/{}", text(subnet, "address"), text(subnet, "prefix"));
        instance.subnets.extend(items(family, "subnet").filter_map(|subnet| prefix(subnet).parse::<IpNet>().ok()));
    }
    Some(instance)
}

fn balancer_of(value: &Value) -> Vec<IpAddr> {
    let known = value.get("loadbalancer").unwrap_or(value);
    items(known, "publicIpAddresses").filter_map(|one| text(one, "frontendIpAddress").parse().ok()).collect()
}

fn events_of(value: &Value) -> Option<Vec<Event>> {
    value.get("Events")?.as_array()?;
    let event = |one: &Value| Event {
        kind: text(one, "EventType").to_owned(),
        status: text(one, "EventStatus").to_owned(),
        not_before: text(one, "NotBefore").to_owned(),
    };
    Some(items(value, "Events").map(event).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// A service that answers by path, and remembers what it was asked.
    async fn service(answers: fn(&str) -> (u16, &'static str)) -> (Uri, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound above");
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let (status, body) = answers(&head);
                heard.lock().expect("nobody panics").push(head);
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        (format!("http://{address}").parse().expect("an address"), asked)
    }

    fn azure(head: &str) -> (u16, &'static str) {
        if head.starts_with("GET /metadata/instance?api-version=2021-02-01 ") {
            (
                200,
                r#"{"compute": {"azEnvironment": "AzurePublicCloud", "location": "westeurope"}, "network": {"interface": [{
                "ipv4": {"ipAddress": [{"privateIpAddress": "10.0.2.4", "publicIpAddress": ""}],
                "subnet": [{"address": "10.0.2.0", "prefix": "24"}]}, "ipv6": {"ipAddress": []}, "macAddress": "0011AAFFBB22"}]}}"#,
            )
        } else if head.starts_with("GET /metadata/scheduledevents?") {
            (
                200,
                r#"{"DocumentIncarnation": 1, "Events": [{"EventId": "1", "EventType": "Reboot", "EventStatus": "Scheduled",
                "NotBefore": "Mon, 30 Nov 2026 18:29:47 GMT", "ResourceType": "VirtualMachine", "Resources": ["vm"]}]}"#,
            )
        } else {
            (404, "{}")
        }
    }

    #[tokio::test]
    async fn the_service_is_asked_with_its_header_and_its_answers_are_read() {
        let (base, asked) = service(azure).await;
        let metadata = ask(&base, &Trust::none()).await;
        let instance = metadata.instance.expect("an answer");
        assert_eq!(instance.subnets, ["10.0.2.0/24".parse().expect("a prefix")]);
        assert_eq!((instance.private.len(), instance.public.len()), (1, 0));
        assert_eq!((&*instance.cloud, &*instance.region), ("AzurePublicCloud", "westeurope"));
        assert_eq!(metadata.balancer, Err("it answered 404 Not Found".to_owned()));
        let events = metadata.events.expect("an answer");
        assert_eq!((events.len(), &*events[0].kind, &*events[0].status), (1, "Reboot", "Scheduled"));
        let asked = asked.lock().expect("nobody panics");
        assert_eq!(asked.len(), 3);
        assert!(asked.iter().all(|head| head.contains("\r\nmetadata: true\r\n")), "{asked:?}");
        assert!(asked.iter().all(|head| !head.to_lowercase().contains("forwarded")), "{asked:?}");
    }

    #[tokio::test]
    async fn a_reflector_says_an_address_and_nothing_else_is_one() {
        let (reflector, _) = service(|_| (200, "20.1.2.3\n")).await;
        assert_eq!(reflected(&reflector, &Trust::none()).await, Ok(IpAddr::from([20, 1, 2, 3])));
        let (page, _) = service(|_| (200, "<html>\u{1b}[2J</html>")).await;
        assert_eq!(reflected(&page, &Trust::none()).await, Err("it answered 200 OK and no address".to_owned()));
        let (refuses, _) = service(|_| (403, "20.1.2.3")).await;
        assert!(reflected(&refuses, &Trust::none()).await.is_err());
    }

    #[test]
    fn only_addresses_of_the_web_are_asked() {
        assert!(address("http://127.0.0.1:8080").is_ok() && address("https://a.example/ip").is_ok());
        for text in ["", "127.0.0.1:80", "ftp://a.example", "http://", "/metadata", "http:// a"] {
            assert!(address(text).expect_err(text).contains("must be a URL"), "{text}");
        }
    }

    #[test]
    fn what_is_not_in_the_documented_form_is_no_answer() {
        for text in ["{}", "[]", "null", r#"{"compute": {}}"#, r#"{"Events": 7}"#] {
            let value: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!((instance_of(&value), events_of(&value)), (None, None), "{text}");
            assert!(balancer_of(&value).is_empty());
        }
    }
}
