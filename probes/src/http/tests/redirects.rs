//! Where a redirect leads, and that nobody goes there unasked.

use super::*;

#[test]
fn redirects_lead_where_they_say_or_break_a_rule() {
    let asked = question(Scheme::Https(Verify::Chain), Proof::AnyResponse);
    let plain = Question { path: "/x/y?q=//z".to_owned(), ..question(Scheme::Http, Proof::AnyResponse) };
    let chain = Scheme::Https(Verify::Chain);
    let full = Scheme::Https(Verify::Full);
    let good = [
        (&asked, "/c", (chain, NAME, 8080, "/c")),
        (&asked, "https://peer.example/c?d#e", (chain, NAME, 443, "/c?d")),
        (&asked, "HTTPS://Other.Example", (full, "other.example", 443, "/")),
        (&asked, "https://other.example?d", (full, "other.example", 443, "/?d")),
        (&asked, "http://other.example:81/", (Scheme::Http, "other.example", 81, "/")),
        (&asked, "//other.example/c", (full, "other.example", 443, "/c")),
        (&plain, "//other.example/c", (Scheme::Http, "other.example", 80, "/c")),
        (&plain, "z", (Scheme::Http, NAME, 8080, "/x/z")),
        (&plain, "?d", (Scheme::Http, NAME, 8080, "/x/y?d")),
        (&plain, "#d", (Scheme::Http, NAME, 8080, "/x/y?q=//z")),
        (&plain, "../z", (Scheme::Http, NAME, 8080, "/z")),
        (&plain, "/a/./b/../c", (Scheme::Http, NAME, 8080, "/a/c")),
        (&plain, "", (Scheme::Http, NAME, 8080, "/x/y?q=//z")),
        (&asked, "/my page?to=a b", (chain, NAME, 8080, "/my%20page?to=a%20b")),
        (&asked, " /c ", (chain, NAME, 8080, "/c")),
        (&asked, "/caf\u{e9}?q=\u{e9}", (chain, NAME, 8080, "/caf%C3%A9?q=%C3%A9")),
        (&asked, "/%20%E9?a=<b>&c=\"d\"", (chain, NAME, 8080, "/%20%E9?a=%3Cb%3E&c=%22d%22")),
        (&asked, "https://b\u{fc}cher.example/", (full, "xn--bcher-kva.example", 443, "/")),
        (&asked, "https:\\\\other.example\\c", (full, "other.example", 443, "/c")),
        (&asked, "https://PEER.Example:8443/", (chain, NAME, 8443, "/")),
        (&asked, "https://other.example/?url=https://user@x/", (full, "other.example", 443, "/?url=https://user@x/")),
        (&plain, "http://[::1]:81/", (Scheme::Http, "::1", 81, "/")),
        (&plain, "http://[FD00:0::20]/", (Scheme::Http, "fd00::20", 80, "/")),
        (&plain, "http://169.254.169.254/", (Scheme::Http, "169.254.169.254", 80, "/")),
    ];
    let to = |location: &str| Answer { status: 302, location: Some(location.to_owned()), ..Answer::default() };
    for (question, location, (scheme, host, port, path)) in good {
        let next = redirect_target(question, &to(location)).expect("302 with a target").expect(location);
        assert_eq!((next.scheme, next.host.as_str(), next.port, next.path.as_str()), (scheme, host, port, path));
    }
    let long = format!("/{}", "a".repeat(7999));
    let bad = [
        ("ftp://other.example/", "scheme"),
        ("javascript:alert(1)", "scheme"),
        ("https://user@other.example/", "user"),
        ("https://user:pass@other.example/", "user"),
        ("https://", "host"),
        ("https://other.example:99999/", "port"),
        ("https://other example/", "URI"),
        ("https://[::1/", "URI"),
        (long.as_str(), "8000"),
    ];
    for (location, rule) in bad {
        let error = redirect_target(&asked, &to(location)).expect("302 with a target").expect_err(location);
        assert!(error.contains(rule), "{location}: {error}");
    }
    assert_eq!(redirect_target(&asked, &Answer { status: 200, ..to("/c") }), None);
    assert_eq!(redirect_target(&asked, &Answer { status: 302, ..Answer::default() }), None);
}

#[tokio::test]
async fn a_redirect_is_returned_and_not_followed() {
    let long = "a".repeat(9000);
    for (location, good) in [("/next", true), (long.as_str(), false)] {
        let address = canned(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")).await;
        let outcome = ask(&http(Proof::AnyResponse), address, &Trust::none(), PATIENCE).await;
        let answer = reply(&outcome).answer.as_ref().expect("an answer came");
        let next = redirect_target(&question(Scheme::Http, Proof::AnyResponse), answer).expect("a redirect");
        assert_eq!(next.is_ok(), good, "{next:?}");
    }
}
