//! What else the agent needs of its machine: the scripts of its tasks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::diagnosis::Lines;
use crate::config::Config;

const WRITABLE_BY_ALL: u32 = 0o002;
const EXECUTABLE: u32 = 0o111;

pub(super) fn check(config: &Config, lines: &mut Lines) {
    scripts(&config.tasks.scripts_dir, lines);
}

/// Scripts run as the agent: whoever can write one can do what the agent can.
fn scripts(dir: &Path, lines: &mut Lines) {
    const CHECK: &str = "scripts";
    let place = dir.display();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return lines.ok(CHECK, format!("{place} is not there: no task can name one"));
        }
        Err(error) => {
            let remedy = format!("chgrp edge-agent {place} && chmod 750 {place}");
            return lines.wrong(CHECK, format!("{place}: {error}"), remedy);
        }
    };
    let mode = |path: &Path| fs::metadata(path).map_or(0, |it| it.permissions().mode());
    if mode(dir) & WRITABLE_BY_ALL != 0 {
        let found = format!("anybody may put a script into {place}, and the agent runs it");
        return lines.wrong(CHECK, found, format!("chmod o-w {place}"));
    }
    let mut count = 0;
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|it| it.is_file()) {
        let script = path.display();
        if mode(&path) & WRITABLE_BY_ALL != 0 {
            let found = format!("anybody may change {script}, and the agent runs it");
            return lines.wrong(CHECK, found, format!("chmod o-w {script}"));
        }
        if mode(&path) & EXECUTABLE == 0 {
            let found = format!("{script} is not executable, so no task can name it");
            return lines.warning(CHECK, found, format!("chmod 750 {script}"));
        }
        count += 1;
    }
    lines.ok(CHECK, format!("{count} in {place}"));
}

#[cfg(test)]
mod tests {
    use super::super::diagnosis::State;
    use super::*;

    #[test]
    fn a_folder_or_script_that_anybody_may_write_is_wrong_and_one_that_can_t_run_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("reboot.sh");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        for (dir_mode, mode, state, words) in [
            (0o750, 0o750, State::Ok, "1 in "),
            (0o750, 0o640, State::Warning, "not executable"),
            (0o750, 0o757, State::Wrong, "may change"),
            (0o757, 0o750, State::Wrong, "may put a script into"),
        ] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(dir_mode)).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(mode)).unwrap();
            let mut lines = Lines::default();
            scripts(dir.path(), &mut lines);
            let line = &lines.0[0];
            assert!(line.state == state && line.found.contains(words), "{line:?}");
        }
        let mut lines = Lines::default();
        scripts(&dir.path().join("none"), &mut lines);
        assert_eq!(lines.0[0].state, State::Ok);
    }
}
