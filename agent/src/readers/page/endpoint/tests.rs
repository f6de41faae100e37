//! The page of one endpoint.

use super::*;
use crate::{
    readers::page::reading::{endpoint_of, words},
    sample,
};

#[test]
fn an_endpoint_has_its_phases_its_chain_and_its_evidence() {
    let snapshot = sample::snapshot();
    let page = endpoint_of(&snapshot, "login.microsoftonline.com:443");
    let text = words(&page);
    for said in
        ["connect 6.0 ms", "tls 14 ms", "CN=login.microsoftonline.com", "issued by CN=Test Root", "Asked every 30s"]
    {
        assert!(text.contains(said), "{said:?} is missing: {text}");
    }
    assert!(page.contains("<rect class=\"s-tls fill\" x=\"118\""), "TLS begins where connecting ended: {page}");
    assert!(render(&snapshot, &Course::default(), "nobody:1", &course::Recalled::default()).is_none());
}

#[test]
fn the_phase_that_failed_looks_and_reads_so_and_one_address_has_one_waterfall() {
    let mut snapshot = sample::snapshot();
    let failed = |view: &Arc<EndpointView>| {
        let visit = view.last.as_ref()?;
        let phase = visit.outcomes.first()?.verdict.finding()?.phase;
        matches!(view.status, Status::Failed(_)).then_some((view.endpoint.id.0.clone(), phase))
    };
    let (id, phase) = snapshot.endpoints.iter().find_map(failed).expect("one of the sample failed");
    let view = snapshot.endpoints.iter_mut().find(|view| view.endpoint.id.0 == id).expect("it is watched");
    let visit = Arc::make_mut(Arc::make_mut(view).last.as_mut().expect("it was visited"));
    visit.phases = visit.outcomes[0].phases;
    let shown = |snapshot: &Snapshot, id: &str| {
        let page = endpoint_of(snapshot, id);
        let fall = page.split("<table class=\"fall\">").nth(1).and_then(|rest| rest.split("</table>").next());
        (page.matches("class=\"fall\"").count(), fall.expect("a waterfall").to_owned())
    };
    let (falls, fall) = shown(&snapshot, &id);
    assert!(words(&fall).contains(&format!("{} ✕ failed", phase.label())), "{fall}");
    assert!(falls == 1 && fall.matches("class=\"s-bad fill\"").count() == 1, "{fall}");
    let (falls, fall) = shown(&snapshot, "login.microsoftonline.com:443");
    assert!(falls == 1 && !fall.contains("bad"), "{fall}");
    let view = snapshot.endpoints.iter_mut().find(|view| view.endpoint.id.0 == id).expect("it is watched");
    let visit = Arc::make_mut(Arc::make_mut(view).last.as_mut().expect("it was visited"));
    visit.outcomes.push(visit.outcomes[0].clone());
    assert_eq!(shown(&snapshot, &id).0, 3, "that of the visit, and one for each address");
}

#[test]
fn when_a_certificate_ends_that_verified_nothing_is_not_shown() {
    let mut snapshot = sample::snapshot();
    let id = "login.microsoftonline.com:443";
    let shown = |snapshot: &Snapshot| {
        let page = endpoint_of(snapshot, id);
        (page.contains("The certificate ends"), page.contains("its end decides"))
    };
    assert_eq!(shown(&snapshot), (true, true));
    let view = snapshot.endpoints.iter_mut().find(|view| &*view.endpoint.id.0 == id).expect("it is watched");
    let visit = Arc::make_mut(Arc::make_mut(view).last.as_mut().expect("it was visited"));
    let ase_probes::outcome::Protocol::Http(reply) = &mut visit.outcomes[0].protocol else { panic!("it is HTTPS") };
    reply.tls.as_mut().expect("it is HTTPS").invalid = Some(ase_probes::tls::Invalid::UnknownIssuer);
    assert_eq!(shown(&snapshot), (false, false));
}
