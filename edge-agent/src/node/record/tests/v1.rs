//! Rows as version 1 writes them, key and value. A red test here means a version 2 and a
//! migration, never another line.

#[rustfmt::skip]
pub(super) const ROWS: &[(&[u8], &[u8])] = &[
    (b"command/\x00\x12\xa3\xfa\x00\x0c]\xc2n\xe6X\xc3\xc5\x8e\x12\xce", b"\x01\xa2bat\x00irejection\xf6"),
    (b"command/\x93\x90)\x8f?\xb0\xc5\xb1`I\x895\xd7\x9c\xb19", b"\x01\xa2bat\x00irejection\xa2dcodelunknown_taskgmessageuthere is no task none"),
    (b"ended/over", b"\x01\x00"),
    (b"event/\x00\x00\x00\x00\x00\x00\x00\x03", b"\xbfestoreh9f3ac01bcseq\x03eat_ms\x1b\x00\x00\x01\x9a\xa4\x1d\xae\x80eclockfsyncediuptime_ms\x1a\x00\x0fB@gboot_idfboot-1ecausebc1dtypepcommand.accepteddbody\xa1gcommandbc1\xff"),
    (b"hold/plug-2", b"\x01\xa4bon\xf5euntil\x1a\x00\x10,\xa0fforced\xf4gcommandbc5"),
    (b"life/plug-1", b"\x01\xa2fcycles\x01dlast\xa5bon\xf5bbygsessioneat_ms\x1b\x00\x00\x01\x9a\xa4\x1d\xae\x80gsessiondlivegcommandbc3"),
    (b"node/checkpoint", b"\x01\xa9gboot_idfboot-1dboot\x1a\x00\x0fB@gwall_ms\x1b\x00\x00\x01\x9a\xa4\x1d\xae\x80fsynced\xf5jrunning_ms\x00eclean\xf4gversione1.0.0cgap\xf6iwitnesses\xa0"),
    (b"node/outbox", b"\x01\xa3eacked\x02dlast\x18\x1fgresends\x81\xa3dfrom\x01bto\x02ecausecc11"),
    (b"outlet/plug-1", b"\x01\xa2hsettings\xa5fdriverisimulateddrestcofffbuttondobeyfleases\xf4jdefinitionb{}fobeyed\xf4"),
    (b"run/cancelled", b"\x01\xa4hattempts\x01llast_attempt\x04ddark\xf4ephase\xa1gRunning\xa1lcancelled_bybc9"),
    (b"run/failed", b"\x01\xa4hattempts\x01llast_attempt\x01ddark\xf4ephase\xa1eEnded\xa2cendfFailedmat_running_ms\x00"),
    (b"run/runs", b"\x01\xa4hattempts\x01llast_attempt\x04ddark\xf4ephase\xa1gRunning\xa1lcancelled_by\xf6"),
    (b"run/waits", b"\x01\xa4hattempts\x00llast_attempt\x04ddark\xf4ephase\xa1fQueued\xa1hready_at\x1a\x00\x10,\xa0"),
    (b"session/booked", b"\x01\xaabidfbookedgstationdpc-2goutlets\x81fplug-2hgrace_ms\x00nwarn_before_ms\x80elabel\xf6ecausebc4hlast_seq\x0egguessed\xf4ephase\xa1fBooked\xa2fstarts\x1a\x00\x10,\xa0cend\xa1bAt\x1a\x00\x11\x17\x00"),
    (b"session/live", b"\x01\xaabiddlivegstationdpc-1goutlets\x81fplug-1hgrace_ms\x19\x13\x88nwarn_before_ms\x81\x19\xea`elabelfseat 7ecausebc3hlast_seq\x0cgguessed\xf4ephase\xa1fActive\xa3crun\xa5hdeadline\x1a\x00F0\xc0jends_at_ms\x1b\x00\x00\x01\x9a\xa4T\x9d\x00esince\x1a\x00\x0fB@jpowered_ms\x00hwarnings\x81\x19\xea`fmoving\xf6jextensions\x80"),
    (b"task/cancelled", b"\x01\xa9dkindfscriptdworkX3\xa2dkindfscriptgpayload\xa2dnamehthere.shdargs\xa1an\x83\x01ctwo\xf6kmax_retries\x03jtimeout_ms\x19\xea`jbackoff_ms\x19\x03\xe8nbackoff_max_ms\x1a\x00\x04\x93\xe0hpriority\x05ecausebc8garrival\x02"),
    (b"task/failed", b"\x01\xa9dkindfscriptdworkX3\xa2dkindfscriptgpayload\xa2dnamehthere.shdargs\xa1an\x83\x01ctwo\xf6kmax_retries\x00jtimeout_ms\x19\xea`jbackoff_ms\x19\x03\xe8nbackoff_max_ms\x1a\x00\x04\x93\xe0hpriority\x05ecausebc6garrival\x00"),
    (b"task/runs", b"\x01\xa9dkindfscriptdworkX3\xa2dkindfscriptgpayload\xa2dnamehthere.shdargs\xa1an\x83\x01ctwo\xf6kmax_retries\x03jtimeout_ms\x19\xea`jbackoff_ms\x19\x03\xe8nbackoff_max_ms\x1a\x00\x04\x93\xe0hpriority\x05ecausebc7garrival\x01"),
    (b"task/waits", b"\x01\xa9dkindfscriptdworkX3\xa2dkindfscriptgpayload\xa2dnamehthere.shdargs\xa1an\x83\x01ctwo\xf6kmax_retries\x03jtimeout_ms\x19\xea`jbackoff_ms\x19\x03\xe8nbackoff_max_ms\x1a\x00\x04\x93\xe0hpriority\x05ecausecc10garrival\x03"),
];

/// Those of a schedule.
#[rustfmt::skip]
pub(super) const SCHEDULED: &[(&[u8], &[u8])] = &[
    (b"course/nightly", b"\x01\xa2hsince_ms\x1b\x00\x00\x01\x9a\xa4\x1d\xae\x80cran\x82\xa2dfrom\x1b\x00\x00\x01\x9a\xa4\x1f5 gthrough\x1b\x00\x00\x01\x9a\xa4#\xc9\x00\xa2dfrom\x1b\x00\x00\x01\x9a\xa4Z\xb7\x80gthrough\x1b\x00\x00\x01\x9a\xa4Z\xb7\x80"),
    (b"schedule/nightly", b"\x01\xa5dcronk*/5 * * * *htimezonemEurope/BerlingcommandX)\xa2dtypejoutlet.setdbody\xa2foutletfplug-1bon\xf4fmisseddoncekmax_late_ms\x1a\x00\t\'\xc0"),
];

/// Rows of agents that did not write every optional field yet: they are read as well.
#[rustfmt::skip]
pub(super) const EARLIER: &[(&[u8], &[u8])] = &[
    (b"hold/plug-2", b"\x01\xa3bon\xf5euntil\x1a\x00\x10,\xa0fforced\xf4"),
    (b"node/checkpoint", b"\x01\xa9gboot_idfboot-1dboot\x1a\x00\x0fB@gwall_ms\x1b\x00\x00\x01\x9a\xa4\x1d\xae\x80fsynced\xf5jrunning_ms\x00eclean\xf4gversione1.0.0cgap\xf6iwitnesses\xa1fplug-1\xa3iuptime_ms\x07easked\x08jbefore_gap\xf4"),
];
