//! The few token streams the gateway sends (MS-TDS 2.2.7).

/// ENCRYPT_ON (MS-TDS 2.2.6.5).
pub(super) const ENCRYPT_ON: u8 = 1;
/// The version it claims: 12.0.2000, as Azure SQL does.
const VERSION: [u8; 6] = [12, 0, 0x07, 0xd0, 0, 0];

/// The PRELOGIN answer with this encryption: options, terminator, data.
pub(crate) fn prelogin(encryption: u8) -> Vec<u8> {
    let options: [(u8, &[u8]); 4] = [(0, &VERSION), (1, &[encryption]), (2, &[0]), (4, &[0])];
    let mut offset = options.len() * 5 + 1;
    let (mut table, mut data) = (Vec::new(), Vec::new());
    for (token, value) in options {
        table.push(token);
        table.extend((offset as u16).to_be_bytes());
        table.extend((value.len() as u16).to_be_bytes());
        data.extend(value);
        offset += value.len();
    }
    table.push(0xff);
    [table, data].concat()
}

/// ENVCHANGE, INFO, LOGINACK and DONE of a login that worked.
pub(super) fn login_accepted() -> Vec<u8> {
    let program = counted("Microsoft SQL Server");
    let ack = [&[1, 0x74, 0, 0, 4][..], &program, &[12, 0, 0x07, 0xd0]].concat();
    [
        env_change(1, &counted("master"), &counted("master")),
        env_change(7, &[5, 0x09, 0x04, 0xd0, 0x00, 0x34], &[0]),
        message(0xab, 5701, 0, "Changed database context to 'master'."),
        sized(0xad, &ack),
        env_change(4, &counted("4096"), &counted("4096")),
        done(),
    ]
    .concat()
}

/// ERROR 18456 and DONE.
pub(super) fn login_denied() -> Vec<u8> {
    [message(0xaa, 18456, 14, "Login failed for user."), done_with(2, 0)].concat()
}

/// COLMETADATA, ROW and DONE of `SELECT 1`: one unnamed INT column.
pub(super) fn one_row() -> Vec<u8> {
    let columns = [0x81, 1, 0, 0, 0, 0, 0, 0, 0, 0x38, 0];
    let row = [&[0xd1][..], &1i32.to_le_bytes()].concat();
    [&columns[..], &row, &done_with(0x10, 1)].concat()
}

/// DONE without rows.
pub(super) fn done() -> Vec<u8> {
    done_with(0, 0)
}

fn done_with(status: u16, rows: u64) -> Vec<u8> {
    [&[0xfd][..], &status.to_le_bytes(), &0u16.to_le_bytes(), &rows.to_le_bytes()].concat()
}

fn env_change(kind: u8, new: &[u8], old: &[u8]) -> Vec<u8> {
    sized(0xe3, &[&[kind], new, old].concat())
}

/// ERROR (0xAA) or INFO (0xAB).
fn message(token: u8, number: i32, severity: u8, text: &str) -> Vec<u8> {
    let length = (text.encode_utf16().count() as u16).to_le_bytes();
    let line = 1u32.to_le_bytes();
    let body =
        [&number.to_le_bytes()[..], &[1, severity], &length, &utf16(text), &counted("ase-lab"), &counted(""), &line];
    sized(token, &body.concat())
}

/// A token with a two-byte length.
fn sized(token: u8, body: &[u8]) -> Vec<u8> {
    [&[token][..], &(body.len() as u16).to_le_bytes(), body].concat()
}

/// Text in UTF-16 after a one-byte count of characters.
fn counted(text: &str) -> Vec<u8> {
    [&[text.encode_utf16().count() as u8][..], &utf16(text)].concat()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
