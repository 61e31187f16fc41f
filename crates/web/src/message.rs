//! A request's head as it comes (RFC 9112 § 2 and 3), and a page as it goes. Every response ends its connection.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Header fields of a request at most.
const FIELDS_MAX: usize = 64;
/// Pieces in which a head comes at most: each is looked at with all before it.
const PIECES_MAX: usize = 64;

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
}

impl Request {
    /// Reads the head of a request of `bytes_max` at most; the status that is answered to what is none.
    ///
    /// # Errors
    /// The connection's, `UnexpectedEof` when it ends before the head does.
    pub(crate) async fn read(from: impl AsyncRead + Unpin, bytes_max: usize) -> io::Result<Result<Self, Status>> {
        let mut from = from.take(bytes_max as u64);
        let mut head = Vec::new();
        for _ in 0..PIECES_MAX {
            if from.limit() == 0 {
                return Ok(Err(Status::HEAD_TOO_LARGE));
            }
            if from.read_buf(&mut head).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(parsed) = Self::parse(&head) {
                return Ok(parsed);
            }
        }
        Ok(Err(Status::BAD_REQUEST))
    }

    /// `None` while more is to come.
    fn parse(head: &[u8]) -> Option<Result<Self, Status>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(head) {
            Ok(httparse::Status::Partial) => None,
            Ok(httparse::Status::Complete(_)) => {
                let path = request.path.unwrap_or_default().split('?').next().unwrap_or_default();
                Some(Ok(Self { method: request.method.unwrap_or_default().to_owned(), path: path.to_owned() }))
            }
            Err(httparse::Error::TooManyHeaders) => Some(Err(Status::HEAD_TOO_LARGE)),
            Err(_) => Some(Err(Status::BAD_REQUEST)),
        }
    }

    /// Whether it changes nothing (RFC 9110 § 9.2.1): GET or HEAD.
    pub(crate) fn only_reads(&self) -> bool {
        self.method == "GET" || self.wants_no_body()
    }

    /// HEAD (RFC 9110 § 9.3.2).
    pub(crate) fn wants_no_body(&self) -> bool {
        self.method == "HEAD"
    }
}

/// A status code and its phrase (RFC 9110 § 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(&'static str);

impl Status {
    pub(crate) const OK: Self = Self("200 OK");
    pub(crate) const BAD_REQUEST: Self = Self("400 Bad Request");
    pub(crate) const NOT_FOUND: Self = Self("404 Not Found");
    pub(crate) const METHOD_NOT_ALLOWED: Self = Self("405 Method Not Allowed");
    pub(crate) const HEAD_TOO_LARGE: Self = Self("431 Request Header Fields Too Large");
    pub(crate) const INTERNAL_SERVER_ERROR: Self = Self("500 Internal Server Error");
    pub(crate) const SERVICE_UNAVAILABLE: Self = Self("503 Service Unavailable");
}

/// What is answered.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: Status,
    pub(crate) content_type: &'static str,
    pub(crate) text: String,
}

impl Page {
    /// Words for a person.
    pub(crate) fn text(status: Status, text: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", text: text.into() }
    }

    /// The response, or its head alone.
    pub(crate) fn into_response(self, without_body: bool) -> String {
        let Self { status, content_type, text } = self;
        // Who may not do what they did is told what they may (RFC 9110 § 15.5.6).
        let allow = if status == Status::METHOD_NOT_ALLOWED { "Allow: GET, HEAD\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{allow}\
             Connection: close\r\n\r\n",
            status.0,
            text.len()
        );
        if without_body { head } else { head + &text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> io::Result<Result<Request, Status>> {
        Request::read(bytes, 1_000).await
    }

    #[tokio::test]
    async fn a_head_is_read_or_answered_or_never_ends() {
        let asked = |method: &str, path: &str| Ok(Request { method: method.to_owned(), path: path.to_owned() });
        for (head, expected) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", asked("GET", "/metrics")),
            ("GET /metrics?x=/y HTTP/1.0\n\n", asked("GET", "/metrics")),
            ("POST * HTTP/1.1\r\n\r\nbody", asked("POST", "*")),
            ("GET /metrics\r\n\r\n", Err(Status::BAD_REQUEST)),
            ("\u{1}\0\0\0\0\u{cd}", Err(Status::BAD_REQUEST)),
            (&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65)), Err(Status::HEAD_TOO_LARGE)),
            (&"a".repeat(2_000), Err(Status::HEAD_TOO_LARGE)),
        ] {
            assert_eq!(read(head.as_bytes()).await.unwrap(), expected, "{head}");
        }
        for head in ["", "GET /metrics HTTP/1.1\r\n"] {
            assert_eq!(read(head.as_bytes()).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{head}");
        }
    }

    #[tokio::test]
    async fn a_head_in_too_many_pieces_is_refused() {
        use tokio::io::AsyncWriteExt;

        let (mut near, far) = tokio::io::duplex(1);
        let drips = tokio::spawn(async move { near.write_all(&[b'a'; 1_000]).await });
        assert_eq!(Request::read(far, 10_000).await.unwrap(), Err(Status::BAD_REQUEST));
        assert!(drips.await.unwrap().is_err());
    }

    #[test]
    fn a_response_says_how_long_it_is_and_that_it_is_the_last() {
        let response = |without_body| Page::text(Status::METHOD_NOT_ALLOWED, "no\n").into_response(without_body);
        let head = "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\
                    Cache-Control: no-store\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n";
        assert_eq!(response(true), head);
        assert_eq!(response(false), format!("{head}no\n"));
    }
}
