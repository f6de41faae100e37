//! Symptoms that rules share.

use crate::diagnosis::symptom::Symptom::{self, *};

pub(super) const SILENT: &[Symptom] = &[SilentConnect, SilentDns, SilentNtp];
pub(super) const HELLO: &[Symptom] = &[CutAtHello, ClosedAtSqlHello, SilentAtHello, LostAtHello];
pub(super) const SILENT_STREAM: &[Symptom] =
    &[SilentAtHello, LostAtHello, SilentAtRequest, LostAtRequest, SilentAtResponse, SilentAtPrelogin, LostAtPrelogin];
pub(super) const NEW_FLOW: &[Symptom] = &[
    BlockPage,
    SilentConnect,
    CutAtHello,
    SilentAtHello,
    LostAtHello,
    CutAtRequest,
    SilentAtRequest,
    LostAtRequest,
    CutAtPrelogin,
    SilentAtPrelogin,
    LostAtPrelogin,
];
/// What a flow that dies for good looks like, beside those that are cut: what loss does, where the flow did not pass.
pub(super) const FLOWS: &[Symptom] = LOSSY.split_at(1).1;
/// What loss does, first to a flow that passed.
pub(super) const LOSSY: &[Symptom] = &[
    Passed,
    SilentConnect,
    SilentDns,
    SilentNtp,
    SilentAtHello,
    LostAtHello,
    SilentAtRequest,
    LostAtRequest,
    SilentAtPrelogin,
    LostAtPrelogin,
];
pub(super) const FOUND_BY_NAME: &[Symptom] =
    &[NamesCompared, RefusedConnect, CertificateName, CertificateIssuer, CertificateDates, OddAnswer];
/// What fails where a name led.
pub(super) const LED_BY_NAME: &[Symptom] = FOUND_BY_NAME.split_at(1).1;
pub(super) const AFTER_ACCEPT: &[Symptom] =
    &[CutAtRequest, SilentAtRequest, LostAtRequest, CutAtPrelogin, SilentAtPrelogin, LostAtPrelogin];
