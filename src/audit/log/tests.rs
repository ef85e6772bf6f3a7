use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::audit::{FaultKind, verify, verify_file};
use crate::provider::{AgentId, E164};

fn start(call: &str) -> AuditEvent {
    let to = E164::parse("+12025550100").unwrap();
    let mut start = CallStart::new(&AgentId::new("a").unwrap(), call, "sip", &to);
    start.trunk = Some("main".into());
    AuditEvent::CallStart(start)
}

fn end(call: &str) -> AuditEvent {
    let AuditEvent::CallStart(start) = start(call) else { unreachable!() };
    AuditEvent::CallEnd(Box::new(CallEnded::new(&start, &CallEnd::default())))
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> Result<AuditLog, AuditError> {
        AuditLog::open_in(self.0.path(), "s1")
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("audit/s1/wire.jsonl")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }
}

#[test]
fn a_log_has_the_host_s_form_and_verifies() {
    let place = Place::new();
    let log = place.open().unwrap().with_run("run_1_00000000", Some("parent".into()));
    log.record(&start("c1")).unwrap();
    log.record(&end("c1")).unwrap();
    let text = place.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), text.ends_with('\n')), (3, true));
    assert!(
        lines[0]
            .starts_with(r#"{"type":"metadata","protocolVersion":"2.0","sessionId":"s1","createdAt":"20"#)
    );
    assert!(lines[1].starts_with(r#"{"version":"2.0","seq":1,"timestamp":"20"#), "{}", lines[1]);
    let middle = r#"Z","runId":"run_1_00000000","sessionId":"s1","parentRunId":"parent","event":{"type":"voice.call.start","agentId":"a","callId":"c1","provider":"sip","trunk":"main","to":"+1***0100","from":null,"consent":null},"_prevHash":""#;
    assert!(lines[1].contains(middle), "{}", lines[1]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&place.path()), mode(place.path().parent().unwrap())), (0o600, 0o700));
    let report = verify_file(place.path()).unwrap();
    assert_eq!((report.records, report.faults, report.warnings), (2, vec![], vec![]));
}

#[test]
fn a_run_has_the_host_s_kind_of_name() {
    let id = new_run_id(UNIX_EPOCH + std::time::Duration::from_millis(1_771_056_245_006));
    let random = id.strip_prefix("voice_1771056245006_").unwrap();
    assert!(
        random.len() == 8 && random.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
        "{id}"
    );
}

#[test]
fn the_chain_goes_on_after_a_restart() {
    let place = Place::new();
    for call in ["c1", "c2", "c3"] {
        let log = place.open().unwrap();
        log.record(&start(call)).unwrap();
        log.record(&end(call)).unwrap();
    }
    let report = verify_file(place.path()).unwrap();
    assert_eq!((report.records, report.faults, report.warnings), (6, vec![], vec![]));
}

#[test]
fn a_second_writer_is_refused() {
    let place = Place::new();
    let log = place.open().unwrap();
    assert!(matches!(place.open(), Err(AuditError::Locked { .. })));
    drop(log);
    place.open().unwrap();
}

#[test]
fn a_call_that_was_up_when_the_process_died_gets_its_end() {
    let place = Place::new();
    let log = place.open().unwrap();
    log.record(&start("c1")).unwrap();
    log.record(&start("c2")).unwrap();
    log.record(&end("c1")).unwrap();
    drop(log);
    assert_eq!(verify_file(place.path()).unwrap().warnings.len(), 1);
    drop(place.open().unwrap());
    let text = place.text();
    let last = text.lines().last().unwrap();
    assert!(last.contains(r#""type":"voice.call.end","agentId":"a","callId":"c2","provider":"sip","trunk":"main","to":"+1***0100""#));
    assert!(last.contains(r#""reason":"failed""#) && last.contains(r#""recovered":true"#), "{last}");
    drop(place.open().unwrap());
    let report = verify_file(place.path()).unwrap();
    assert_eq!((report.records, report.faults, report.warnings), (4, vec![], vec![]));
}

/// Cuts a log at every byte, as a loss of power does, and goes on writing.
#[test]
fn a_torn_line_costs_one_line_and_is_told() {
    let place = Place::new();
    let log = place.open().unwrap();
    log.record(&start("c1")).unwrap();
    log.record(&end("c1")).unwrap();
    drop(log);
    let whole = fs::read(place.path()).unwrap();
    // Every seventh byte, and all around the ends of lines.
    let near = |cut: &usize| whole[cut.saturating_sub(2)..(cut + 2).min(whole.len())].contains(&b'\n');
    for cut in (0..whole.len()).filter(|cut| cut % 7 == 0 || near(cut)) {
        fs::write(place.path(), &whole[..cut]).unwrap();
        let log = place.open().unwrap();
        log.record(&start("c9")).unwrap();
        log.record(&end("c9")).unwrap();
        drop(log);
        let text = place.text();
        let report = verify(text.as_bytes());
        let before = &whole[..cut];
        let tail = before.rsplit(|b| *b == b'\n').next().unwrap();
        let torn = !tail.is_empty() && serde_json::from_slice::<serde_json::Value>(tail).is_err();
        let faults = usize::from(torn);
        assert_eq!(report.faults.len(), faults, "cut at {cut}: {:?}\n{text}", report.faults);
        assert!(report.faults.iter().all(|fault| fault.kind == FaultKind::Unreadable));
        assert_eq!(text.contains("voice.audit.repaired"), torn, "cut at {cut}");
        let starts = text
            .lines()
            .filter(|l| serde_json::from_str::<serde_json::Value>(l).is_ok() && l.contains("call.start"));
        let ends = text
            .lines()
            .filter(|l| serde_json::from_str::<serde_json::Value>(l).is_ok() && l.contains("call.end"));
        assert_eq!(starts.count(), ends.count(), "cut at {cut}");
    }
}

#[test]
fn a_failed_write_leaves_whole_lines_and_the_next_one_works() {
    let place = Place::new();
    let log = place.open().unwrap();
    log.record(&start("c1")).unwrap();
    let good = place.text();
    // What is left when a disk is full in the middle of a line.
    let mut file = OpenOptions::new().append(true).open(place.path()).unwrap();
    file.write_all(b"{\"version\":\"2.0\",\"se").unwrap();
    log.record(&end("c1")).unwrap();
    let text = place.text();
    assert!(text.starts_with(&good) && text.lines().count() == 3, "{text}");
    assert!(verify(text.as_bytes()).is_intact());

    // A device that is full whenever it is written to.
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let length = full.metadata().unwrap().len();
    let state = State {
        file: full,
        length,
        ..State { file: file.try_clone().unwrap(), length: 0, seq: 9, previous: "x".into() }
    };
    let log = AuditLog { state: Mutex::new(state), ..log };
    for _ in 0..2 {
        let error = log.record(&start("c2")).unwrap_err();
        assert!(
            matches!(&error, AuditError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull),
            "{error:?}"
        );
    }
    assert_eq!(log.state().seq, 9);
}

#[test]
fn many_threads_write_one_chain() {
    let place = Place::new();
    let log = place.open().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || {
                for n in 0..25 {
                    let call = format!("c{thread}-{n}");
                    log.record(&start(&call)).unwrap();
                    log.record(&end(&call)).unwrap();
                }
            });
        }
    });
    let report = verify_file(place.path()).unwrap();
    assert_eq!((report.records, report.faults), (200, vec![]));
}

#[test]
fn a_session_s_folder_is_the_host_s() {
    let cases = [
        ("s1", "s1"),
        (" voice:call/7 ", "voice_call_7"),
        ("../../etc", "______etc"),
        ("\u{feff} \n", "session"),
        ("", "session"),
        ("Ä😀-_", "___-_"),
        ("\u{85}", "_"),
    ];
    for (session, folder) in cases {
        assert_eq!(folder_name(session), folder, "{session:?}");
    }
}
