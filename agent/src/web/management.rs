//! Asks the management API about an environment, with a token of this machine's managed identity that is printed nowhere.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ase_probes::tls::Trust;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    HeaderMap, Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1,
    header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, RETRY_AFTER},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, CertificateError, pki_types::ServerName},
};

use crate::net::foreign;

/// The longest answer that is read, in bytes.
const LONGEST: usize = 16 << 20;
/// The time that one question gets in all.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pages that are followed at most.
const MOST_PAGES: usize = 100;
/// The version of the token service (azure.com, "How to use managed identities on an Azure VM to acquire an access token").
const TOKEN_VERSION: &str = "2018-02-01";
/// The longest part of another's words that is repeated.
const LONGEST_WORDS: usize = 300;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// An address that cannot be asked.
    #[error("{address}: {rule}")]
    Address {
        /// The address.
        address: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// Nobody answered as HTTP does.
    #[error("{address}: {what}")]
    Silent {
        /// Whom.
        address: String,
        /// What happened.
        what: String,
    },
    /// The token service gave no token.
    #[error("the token service at {address} answered {status}: {what}")]
    NoToken {
        /// Where it is.
        address: String,
        /// Its status.
        status: StatusCode,
        /// What that means.
        what: String,
    },
    /// The API does not know the token.
    #[error("the management API refused the token (401): {0}; is this the cloud of the environment (--cloud)?")]
    Unauthorized(String),
    /// The identity may not read this.
    #[error(
        "permission gap (403): the identity of this machine may not {action}; give it the role Reader on the environment: az role assignment \
         create --assignee PRINCIPAL_ID --role Reader --scope {scope} ({said})"
    )]
    Forbidden {
        /// What it may not do.
        action: String,
        /// On what.
        scope: String,
        /// The API's words.
        said: String,
    },
    /// There is no such thing.
    #[error("{path} (404): no such environment, or not one of this version: {said}")]
    Missing {
        /// What was asked for.
        path: String,
        /// The API's words.
        said: String,
    },
    /// Too many questions.
    #[error("the management API asks to be left alone (429){wait}: {said}")]
    Throttled {
        /// How long, in words.
        wait: String,
        /// The API's words.
        said: String,
    },
    /// Another status.
    #[error("the management API answered {status}{hint}: {said}")]
    Status {
        /// The status.
        status: StatusCode,
        /// What to do.
        hint: &'static str,
        /// The API's words.
        said: String,
    },
    /// The next page is at another host, which must not get the token.
    #[error("the answer's next page is at {0}, which is not the management API: it is not followed")]
    Elsewhere(String),
    /// The answer does not end.
    #[error("the answer has more than {MOST_PAGES} pages")]
    Endless,
}

/// A token: no type that holds one can be printed.
struct Token(String);

/// The management API of one cloud, and where tokens for it come from.
pub struct Api {
    /// The token service of this machine.
    pub token_service: Uri,
    /// The API.
    pub management: Uri,
    /// What tokens are asked for: the API's public address, whatever stands in for it.
    pub resource: &'static str,
    /// The authorities that vouch for it.
    pub trust: Trust,
}

impl Api {
    /// Fetches an answer with all its pages: the address of each and its bytes. `path` is the resource's id and what is
    /// asked of it, with the version.
    ///
    /// # Errors
    /// [`ApiError`], which names what is missing and who can give it.
    pub async fn fetch(&self, path: &str) -> Result<Vec<(String, Bytes)>, ApiError> {
        check(&self.management)?;
        let token = self.token().await?;
        let authority = self.management.authority().map(ToString::to_string).unwrap_or_default();
        let base = format!("{}://{authority}", self.management.scheme_str().unwrap_or("https"));
        let mut next = Some(format!("{base}{path}"));
        let mut pages = Vec::new();
        while let Some(address) = next {
            let uri = parsed(&address)?;
            let is_here = uri.authority() == self.management.authority() && uri.scheme() == self.management.scheme();
            if !is_here {
                return Err(ApiError::Elsewhere(without_query(&token.hidden(&address)).to_owned()));
            }
            if pages.len() == MOST_PAGES {
                return Err(ApiError::Endless);
            }
            let (status, headers, body) = self.ask(&uri, token.header()).await?;
            if !status.is_success() {
                return Err(refused(&uri, status, &headers, &token.hidden(&said(&body))));
            }
            next = next_page(&body);
            pages.push((without_query(&address).to_owned(), body));
        }
        Ok(pages)
    }

    async fn token(&self) -> Result<Token, ApiError> {
        let base = self.token_service.to_string();
        let joint = if base.contains('?') { '&' } else { '?' };
        let resource = self.resource.replace(':', "%3A").replace('/', "%2F");
        let uri = parsed(&format!("{base}{joint}api-version={TOKEN_VERSION}&resource={resource}"))?;
        let header = (HeaderName::from_static("metadata"), HeaderValue::from_static("true"));
        let (status, _, body) = self.ask(&uri, header).await?;
        let no_token =
            |what: &str| ApiError::NoToken { address: without_query(&base).to_owned(), status, what: what.to_owned() };
        match status.as_u16() {
            200 => {}
            400 | 404 => {
                return Err(no_token(
                    "this machine has no managed identity: az vm identity assign -g RESOURCE_GROUP -n VM",
                ));
            }
            429 => return Err(no_token("too many questions: try again in a minute")),
            500..=599 => return Err(no_token("a fault of the platform: try again in a minute")),
            _ => return Err(no_token("no token")),
        }
        // What is no token as expected may be one in another form: nothing of the body is repeated.
        let value: Value = serde_json::from_slice(&body).map_err(|_| no_token("no JSON"))?;
        let token = value.get("access_token").and_then(Value::as_str).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| no_token("no access_token in the answer"))?;
        HeaderValue::from_str(token).map_err(|_| no_token("a token that no header can hold"))?;
        Ok(Token(token.to_owned()))
    }

    async fn ask(
        &self,
        uri: &Uri,
        (name, value): (HeaderName, HeaderValue),
    ) -> Result<(StatusCode, HeaderMap, Bytes), ApiError> {
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let silent = |what: String| ApiError::Silent { address: authority.clone(), what };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path).header(HOST, authority.as_str()).header(name, value);
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| silent(error.to_string()))?;
        let exchange = async {
            let stream = connect(uri).await.map_err(|error| silent(error.to_string()))?;
            if uri.scheme_str() != Some("https") {
                return exchange(stream, request).await.map_err(&silent);
            }
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let server = ServerName::try_from(host).map_err(|error| silent(error.to_string()))?;
            let connector = TlsConnector::from(Arc::clone(&self.trust.strict_client()));
            let secured = connector.connect(server, stream).await.map_err(|error| silent(of_tls(&error)))?;
            exchange(secured, request).await.map_err(&silent)
        };
        match timeout(PATIENCE, exchange).await {
            Ok(answered) => answered,
            Err(_) => Err(silent(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }
}

impl Token {
    fn header(&self) -> (HeaderName, HeaderValue) {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).expect("tried when it came");
        value.set_sensitive(true);
        (AUTHORIZATION, value)
    }

    /// A text in which the token does not stand.
    fn hidden(&self, text: &str) -> String {
        text.replace(&self.0, "[token]")
    }
}

/// Whether an API may be sent a token: over TLS, or without leaving this machine.
fn check(management: &Uri) -> Result<(), ApiError> {
    let address = management.to_string();
    let host = management.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match management.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_here => Ok(()),
        Some("http") => Err(ApiError::Address { address, rule: "a token is sent over https only, or to this machine" }),
        _ => Err(ApiError::Address { address, rule: "must be a URL with http or https" }),
    }
}

fn parsed(address: &str) -> Result<Uri, ApiError> {
    let refused =
        || ApiError::Address { address: without_query(address).to_owned(), rule: "must be a URL with scheme and host" };
    let uri: Uri = address.parse().map_err(|_| refused())?;
    if uri.scheme().is_some() && uri.authority().is_some() { Ok(uri) } else { Err(refused()) }
}

fn without_query(address: &str) -> &str {
    address.split('?').next().unwrap_or_default()
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is no probe: nothing is concluded from it but that there is no answer"
)]
async fn connect(uri: &Uri) -> std::io::Result<TcpStream> {
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    TcpStream::connect((uri.host().unwrap_or_default().trim_matches(['[', ']']), port)).await
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> Result<(StatusCode, HeaderMap, Bytes), String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LONGEST).collect().await.map_err(|error| error.to_string())?;
        Ok((head.status, head.headers, body.to_bytes()))
    };
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        answered = &mut answer => answered,
        _ = &mut connection => answer.await,
    }
}

/// Why a handshake failed. What webpki refuses and rustls has no word for prints as nested names of types.
fn of_tls(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => {
            format!("TLS: the certificate does not verify: {}", foreign::spoken(&other.to_string()))
        }
        _ => format!("TLS: {}", foreign::plain_within(&error.to_string(), LONGEST_WORDS)),
    }
}

fn next_page(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    value.get("nextLink")?.as_str().filter(|link| !link.is_empty()).map(str::to_owned)
}

/// What the API says about a refusal, without line ends.
fn said(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let error = value.get("error").unwrap_or(&value);
    let field = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let words =
        [field("code"), field("message")].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(": ");
    let words = foreign::plain_within(&words, LONGEST_WORDS);
    if words.is_empty() { "it gives no reason".to_owned() } else { words }
}

fn refused(uri: &Uri, status: StatusCode, headers: &HeaderMap, said: &str) -> ApiError {
    let (path, said) = (uri.path().to_owned(), said.to_owned());
    match status.as_u16() {
        401 => ApiError::Unauthorized(said),
        403 => {
            let (scope, rest) = split(&path);
            ApiError::Forbidden { action: format!("Microsoft.Web/hostingEnvironments{rest}/read"), scope, said }
        }
        404 => ApiError::Missing { path, said },
        429 => {
            let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            let wait = seconds.map_or_else(String::new, |seconds| format!(", for {seconds} s"));
            ApiError::Throttled { wait, said }
        }
        500..=599 => ApiError::Status { status, hint: ", a fault of the platform: try again in a minute", said },
        _ => ApiError::Status { status, hint: "", said },
    }
}

/// The environment's id, and what of it was asked for.
fn split(path: &str) -> (String, String) {
    let lower = path.to_ascii_lowercase();
    let Some(at) = lower.find("/hostingenvironments/") else { return (path.to_owned(), String::new()) };
    let name = at + "/hostingenvironments/".len();
    let end = path[name..].find('/').map_or(path.len(), |end| name + end);
    (path[..end].to_owned(), path[end..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_over_tls_or_stays_on_this_machine() {
        let may = |text: &str| check(&text.parse().expect("a URI")).is_ok();
        assert!(
            may("https://management.azure.com")
                && may("http://127.0.0.1:8080")
                && may("http://localhost:1")
                && may("http://[::1]:1")
        );
        assert!(
            !may("http://management.azure.com") && !may("http://10.0.0.4") && !may("ftp://127.0.0.1/") && !may("/path")
        );
    }

    #[test]
    fn a_refusal_names_the_role_and_the_scope() {
        let uri: Uri = "https://m/subscriptions/S/providers/Microsoft.Web/hostingEnvironments/ase-1/outboundNetworkDependenciesEndpoints?api-version=1"
            .parse()
            .expect("a URI");
        let error = refused(&uri, StatusCode::FORBIDDEN, &HeaderMap::new(), "AuthorizationFailed").to_string();
        assert!(
            error.contains("Microsoft.Web/hostingEnvironments/outboundNetworkDependenciesEndpoints/read"),
            "{error}"
        );
        assert!(
            error.contains("--role Reader --scope /subscriptions/S/providers/Microsoft.Web/hostingEnvironments/ase-1 "),
            "{error}"
        );
    }

    #[test]
    fn a_token_that_is_said_back_is_hidden() {
        assert_eq!(Token("secret".to_owned()).hidden("a secret and a secret"), "a [token] and a [token]");
    }
}
