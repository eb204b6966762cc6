//! What whoever looks at the page gets over real HTTP, and what they cost the loop.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::*;
use crate::host::figures::Machine;
use crate::local::{Question, Report, Snapshot, fixture};

/// A page over a loop that only counts how often it is asked.
struct Bench {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

async fn bench(moment: fn() -> Snapshot) -> Bench {
    let (ask, mut questions) = mpsc::channel::<Question>(8);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Some(question) = questions.recv().await {
            count.fetch_add(1, Ordering::Relaxed);
            let Question::Look(answer) = question else { panic!("a page only looks") };
            let _ = answer.send(moment());
        }
    });
    Bench { address: serving(ask).await, asked }
}

async fn serving(ask: mpsc::Sender<Question>) -> SocketAddr {
    let machine = Machine::of(std::path::Path::new("/no/such/directory"));
    let source = Arc::new(Source::new(ask, machine));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, source));
    address
}

/// Sends `request` as it stands and returns all that comes back.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is reset was hung up on as well.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn get(address: SocketAddr, path: &str) -> String {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n")).await
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split_once("\r\n\r\n").map_or(answer, |parts| parts.0);
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn the_page_is_one_document_that_can_load_nothing_from_elsewhere() {
    let bench = bench(fixture::snapshot).await;
    let answer = get(bench.address, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(header(&answer, "content-type"), Some("text/html; charset=utf-8"));
    let policy = header(&answer, "content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    let page = body(&answer);
    assert!(page.len() < 24 * 1024, "{} bytes", page.len());
    for foreign in
        ["src=", "href=\"http", "url(", "@import", "<link rel=\"style", "innerHTML", "style=\""]
    {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let inside = page.split_once(open).unwrap().1.split_once(close).unwrap().0;
        let digest = ring::digest::digest(&ring::digest::SHA256, inside.as_bytes());
        let hash = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest);
        assert!(policy.contains(&format!("'sha256-{hash}'")), "{open} may not run");
    }
    assert_eq!(bench.asked.load(Ordering::Relaxed), 0, "the document asks nobody");
}

#[tokio::test]
async fn status_is_the_report_and_metrics_are_what_prometheus_reads() {
    let bench = bench(fixture::snapshot).await;
    let answer = get(bench.address, "/status.json").await;
    assert_eq!(header(&answer, "content-type"), Some("application/json"));
    let report: Report = serde_json::from_str(body(&answer)).unwrap();
    assert!(report.host.as_ref().is_some_and(|host| host.memory_bytes.is_some()));
    assert_eq!(Report { host: None, ..report }, fixture::report());
    let answer = get(bench.address, "/metrics").await;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(header(&answer, "content-type"), Some(kind));
    assert!(body(&answer).contains("\nedge_agent_sessions{phase=\"active\"} 1\n"), "{answer}");
    assert_eq!(body(&get(bench.address, "/healthz").await), "ok\n");
}

#[tokio::test]
async fn every_answer_keeps_other_sites_and_caches_out() {
    let bench = bench(fixture::snapshot).await;
    for path in ["/", "/status.json", "/metrics", "/healthz", "/favicon.ico", "/../etc/passwd"] {
        let answer = get(bench.address, path).await;
        assert_eq!(header(&answer, "cache-control"), Some("no-store"), "{path}");
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(header(&answer, "cross-origin-resource-policy"), Some("same-origin"), "{path}");
        assert_eq!(header(&answer, "connection"), Some("close"), "{path}");
        assert!(!answer.contains("access-control-"), "{path}");
    }
    assert!(get(bench.address, "/favicon.ico").await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn a_name_that_is_not_this_machines_is_refused_before_anybody_is_asked() {
    let bench = bench(fixture::snapshot).await;
    for head in [
        "GET /status.json HTTP/1.1\r\nhost: evil.example\r\n",
        "GET http://evil.example/status.json HTTP/1.1\r\nhost: localhost\r\n",
        "GET /status.json HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n",
        "GET /status.json HTTP/1.1\r\n",
        "GET /status.json HTTP/1.0\r\n",
    ] {
        let answer = exchange(bench.address, &format!("{head}\r\n")).await;
        assert!(answer.contains(" 421 ") || answer.contains(" 400 "), "{head}: {answer}");
        assert!(!answer.contains("pi-0042"), "{head}");
    }
    assert_eq!(bench.asked.load(Ordering::Relaxed), 0);
    let answer =
        exchange(bench.address, "GET /status.json HTTP/1.0\r\nhost: localhost\r\n\r\n").await;
    assert!(answer.contains(" 200 "), "{answer}");
}

#[tokio::test]
async fn nothing_but_reading_is_answered() {
    let bench = bench(fixture::snapshot).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "SWITCH"] {
        let request = format!("{method} /status.json HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let answer = exchange(bench.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
        assert_eq!(header(&answer, "allow"), Some("GET, HEAD"));
    }
    assert_eq!(bench.asked.load(Ordering::Relaxed), 0);
    let answer = exchange(bench.address, "HEAD / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let length: usize = header(&answer, "content-length").unwrap().parse().unwrap();
    assert_eq!((body(&answer), length), ("", document::PAGE.len()));
}

#[tokio::test]
async fn what_is_no_request_is_hung_up_on() {
    let bench = bench(fixture::snapshot).await;
    let long = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    for nonsense in
        [long.as_str(), "\u{0}\u{1}\u{2}\r\n\r\n", "hello\r\n\r\n", "GET / HTTP/3\r\n\r\n"]
    {
        let answer = exchange(bench.address, nonsense).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert!(get(bench.address, "/healthz").await.contains(" 200 "));
}

#[tokio::test]
async fn a_hundred_who_look_at_once_are_all_answered_and_ask_the_loop_for_two_a_second() {
    let bench = bench(fixture::snapshot).await;
    let began = tokio::time::Instant::now();
    let mut lookers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let address = bench.address;
        lookers.spawn(async move {
            for _ in 0..5 {
                assert!(get(address, "/status.json").await.starts_with("HTTP/1.1 200 "));
            }
        });
    }
    lookers.join_all().await;
    let asked = bench.asked.load(Ordering::Relaxed);
    let most = 1 + usize::try_from(began.elapsed().as_millis() / 500).unwrap();
    assert!((1..=most).contains(&asked), "asked {asked} times, {most} at most");
}

/// Takes every seat, so that whoever comes then waits for one of them to be given up.
async fn take_every_seat(address: SocketAddr, request: &str) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    streams
}

#[tokio::test(start_paused = true)]
async fn who_never_finishes_asking_gives_up_the_seat_in_time() {
    let bench = bench(fixture::snapshot).await;
    let began = tokio::time::Instant::now();
    let slow = take_every_seat(bench.address, "GET /status.json HT").await;
    assert!(get(bench.address, "/").await.contains(" 200 "));
    let waited = began.elapsed();
    assert!(waited >= HEAD_PATIENCE && waited <= CONNECTION_PATIENCE, "{waited:?}");
    drop(slow);
}

#[tokio::test(start_paused = true)]
async fn who_never_reads_the_answer_gives_up_the_seat_in_time() {
    // More than the kernel keeps for a reader who does not read.
    let bench = bench(|| {
        let mut snapshot = fixture::snapshot();
        snapshot.report.outlets[0].fault_message = Some("x".repeat(32 << 20));
        snapshot
    })
    .await;
    let began = tokio::time::Instant::now();
    let slow =
        take_every_seat(bench.address, "GET /status.json HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await;
    assert!(get(bench.address, "/").await.contains(" 200 "));
    assert!(began.elapsed() <= CONNECTION_PATIENCE * 2, "{:?}", began.elapsed());
    drop(slow);
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_hangs_is_told_instead_of_waited_for() {
    let (ask, _unanswered) = mpsc::channel(8);
    let address = serving(ask).await;
    for path in ["/status.json", "/metrics", "/healthz"] {
        let answer = get(address, path).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{path}: {answer}");
    }
    assert!(get(address, "/").await.contains(" 200 "), "the page itself tells it");
}

#[tokio::test]
async fn an_address_that_is_taken_costs_the_page_alone() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ask, _questions) = mpsc::channel(8);
    let machine = Machine::of(std::path::Path::new("/"));
    open(taken.local_addr().unwrap(), Arc::new(Source::new(ask, machine))).await;
}
