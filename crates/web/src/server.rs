//! Accepts connections and bounds what they cost.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::message::{Page, Request};
use crate::pages::{Monitored, Pages};

/// Pause after a failed accept, mostly for want of file descriptors, which only time gives back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What clients may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time; beyond it the oldest gives way.
    pub connections: usize,
    /// Bytes of a request's line and headers; more is answered with 431.
    pub head_bytes: usize,
    /// From the connection to the end of the response.
    pub connection: Duration,
    /// Metrics are gathered again after so long at the earliest.
    pub fresh: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 32,
            head_bytes: 16 << 10,
            connection: Duration::from_secs(5),
            fresh: Duration::from_secs(1),
        }
    }
}

/// Answers what comes to `listener` until `shutdown` is cancelled; what is being answered then is broken off.
pub async fn serve<M: Monitored>(listener: TcpListener, node: Arc<M>, limits: Limits, shutdown: CancellationToken) {
    let pages = Arc::new(Pages::new(node, limits.fresh));
    // Dropped at the end, which breaks them off.
    let mut connections = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "HTTP connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        oldest_first.retain(|connection| !connection.is_finished());
        if oldest_first.len() >= limits.connections.max(1)
            && let Some(oldest) = oldest_first.pop_front()
        {
            oldest.abort();
        }
        oldest_first.push_back(connections.spawn(serve_connection(stream, Arc::clone(&pages), limits)));
    }
}

/// One connection, as long as it may last.
async fn serve_connection<M: Monitored>(stream: TcpStream, pages: Arc<Pages<M>>, limits: Limits) {
    match timeout(limits.connection, converse(stream, &pages, limits.head_bytes)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "HTTP connection"),
        Err(_elapsed) => tracing::debug!("HTTP connection took too long"),
    }
}

/// One request and its response.
async fn converse<M: Monitored>(mut stream: TcpStream, pages: &Pages<M>, head_bytes: usize) -> io::Result<()> {
    let response = match Request::read(&mut stream, head_bytes).await? {
        Ok(request) => pages.answer(&request).await.into_response(request.wants_no_body()),
        Err(status) => Page::text(status, "").into_response(false),
    };
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await?;
    // What was sent and not read would reset the connection, perhaps before the response has arrived.
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, mpsc};

    use super::*;

    /// Counts how often it is asked, and is ready when it is even.
    #[derive(Default)]
    struct Node(AtomicU64);

    impl Monitored for Node {
        fn metrics(&self) -> Result<String, String> {
            Ok(format!("asked {}\n", self.0.fetch_add(1, Ordering::Relaxed)))
        }

        fn ready(&self) -> Result<(), String> {
            if self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                Ok(())
            } else {
                Err("the disk is full".into())
            }
        }
    }

    /// Gathers metrics only when it is let.
    struct Slow {
        gatherings: AtomicU64,
        gate: Mutex<mpsc::Receiver<()>>,
    }

    impl Monitored for Slow {
        fn metrics(&self) -> Result<String, String> {
            self.gatherings.fetch_add(1, Ordering::Relaxed);
            self.gate.lock().unwrap().recv().map_err(|error| error.to_string())?;
            Ok("gathered\n".to_owned())
        }

        fn ready(&self) -> Result<(), String> {
            Ok(())
        }
    }

    async fn started(limits: Limits) -> SocketAddr {
        started_with(Arc::new(Node::default()), limits).await
    }

    async fn started_with(node: Arc<impl Monitored>, limits: Limits) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, node, limits, CancellationToken::new()));
        address
    }

    /// All that is answered to `request`, until the connection is closed.
    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        read(&mut stream).await
    }

    async fn read(stream: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        // A connection that was broken off may end in a reset.
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn every_path_and_method_has_its_answer() {
        let node = started(Limits { fresh: Duration::from_secs(3_600), ..Limits::default() }).await;
        for (request, status, has) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "200", "Content-Type: text/plain; version=0.0.4"),
            ("GET /metrics?x=1 HTTP/1.0\r\n\r\n", "200", "asked 0\n"),
            ("GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n", "200", "live\n"),
            ("GET /health/ready HTTP/1.1\r\nHost: a\r\n\r\n", "503", "the disk is full\n"),
            ("GET /health/ready HTTP/1.1\r\nHost: a\r\n\r\n", "200", "ready\n"),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "404", "/health/live"),
            ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxx", "405", "Allow: GET, HEAD"),
            ("no HTTP at all\r\n\r\n", "400", ""),
            ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", "400", ""),
        ] {
            let answer = ask(node, request).await;
            assert_eq!(answer.get(9..12), Some(status), "{request}\n{answer}");
            assert!(answer.contains(has), "{request}\n{answer}");
        }
        let answer = ask(node, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(answer.contains("Content-Length: 8") && answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_head_without_an_end_is_refused_at_its_limit() {
        let node = started(Limits::default()).await;
        let long = "a".repeat(17 << 10);
        let answer = ask(node, &format!("GET /metrics HTTP/1.1\r\nX: {long}")).await;
        assert_eq!(answer.get(9..12), Some("431"), "{answer}");
    }

    #[tokio::test]
    async fn who_sends_slowly_or_nothing_is_dropped_in_time() {
        let node = started(Limits { connection: Duration::from_millis(50), ..Limits::default() }).await;
        let mut silent = TcpStream::connect(node).await.unwrap();
        let mut slow = TcpStream::connect(node).await.unwrap();
        let drips = async {
            while slow.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert_eq!(read(&mut silent).await, "");
        timeout(Duration::from_secs(60), drips).await.unwrap();
    }

    #[tokio::test]
    async fn who_no_longer_waits_for_metrics_has_them_gathered_once() {
        let (open, gate) = mpsc::channel();
        let slow = Arc::new(Slow { gatherings: AtomicU64::new(0), gate: Mutex::new(gate) });
        let (connection, fresh) = (Duration::from_millis(50), Duration::from_secs(3_600));
        let node = started_with(Arc::clone(&slow), Limits { connection, fresh, ..Limits::default() }).await;
        for _ in 0..3 {
            assert_eq!(ask(node, "GET /metrics HTTP/1.0\r\n\r\n").await, "");
        }
        let gatherings = || slow.gatherings.load(Ordering::Relaxed);
        assert!(gatherings() <= 1, "{} at a time", gatherings());
        open.send(()).unwrap();
        while !ask(node, "GET /metrics HTTP/1.0\r\n\r\n").await.ends_with("gathered\n") {}
        assert_eq!(gatherings(), 1);
    }

    #[tokio::test]
    async fn beyond_the_limit_the_oldest_gives_way() {
        let hour = Duration::from_secs(3_600);
        let node = started(Limits { connections: 2, connection: hour, ..Limits::default() }).await;
        let mut first = TcpStream::connect(node).await.unwrap();
        let mut second = TcpStream::connect(node).await.unwrap();
        assert!(ask(node, "GET /health/live HTTP/1.0\r\n\r\n").await.ends_with("live\n"));
        assert_eq!(read(&mut first).await, "", "the oldest has given way");
        second.write_all(b"GET /health/live HTTP/1.0\r\n\r\n").await.unwrap();
        assert!(read(&mut second).await.ends_with("live\n"), "the second one has not");
    }
}
