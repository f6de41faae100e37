//! How many files this process may have open.

use ase_probes::local_facts::raise_file_limit;

/// As many as the unit gives, which is sized for the largest catalogue when nothing answers. The soft limit of a shell, 1024 on
/// most systems, is low for the sake of programs that use `select`, which cannot wait for more; this one does not.
const WANTED: usize = 16_384;

/// Takes as many as the unit gives, where the host lets it, and says how many there are.
pub(super) fn take() -> usize {
    raise_file_limit(WANTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_gives_no_fewer_files_than_the_unit_where_it_may() {
        let unit = include_str!("../../../systemd/ase-agent.service");
        let given = unit.lines().find_map(|line| line.strip_prefix("LimitNOFILE=")).expect("a limit");
        assert_eq!(given.parse(), Ok(WANTED));
        assert_eq!(take(), take(), "there is nothing more to take");
    }
}
