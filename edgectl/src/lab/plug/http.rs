//! The plug's web server, by hand, since it has to misbehave byte by byte.
//!
//! As the firmware's (arendst/Tasmota `xdrv_01_9_webserver`, `HandleHttpCommand`): one client at
//! a time, `/cm?cmnd=…`, chunked answers, the connection closed after each; 200 for almost
//! everything, errors included.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::fault::Fault;
use super::request::Request;
use super::{Asked, By, Inside, Shared};
use crate::lab::wall;

/// For so long a client may keep the only place without a whole request (5 s in the core).
const PATIENCE: Duration = Duration::from_secs(5);

/// What leaves the plug.
#[derive(Debug)]
enum Answer {
    /// Status line's code, content type, body.
    Page(u16, &'static str, String),
    /// Nothing at all, and the end of the connection.
    Nothing,
    /// Nothing at all, for as long as the other side waits.
    Silence,
}

/// How it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Whole,
    /// One byte a chunk and a packet.
    Split,
    /// Half the body, then a reset.
    Torn,
}

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        if shared.look(|inside, _| inside.peek_unreachable()) {
            reset(&stream);
            continue;
        }
        // Registered before the request is read: a restart from here on breaks it.
        let hang_up = shared.hang_up.notified();
        tokio::select! {
            () = converse(&mut stream, &shared) => {}
            () = hang_up => reset(&stream),
        }
    }
}

async fn converse(stream: &mut TcpStream, shared: &Shared) {
    // Packets go as they are written: the splits are the point.
    let _ = stream.set_nodelay(true);
    let Ok(Some(request)) = timeout(PATIENCE, Request::read(stream)).await else { return };
    let (answer, stall, manner) = shared.change(|inside, now| inside.answer(&request, now));
    if let Some(stall) = stall {
        sleep(stall).await;
    }
    // Who has hung up gets no answer; that is all there is to it.
    let _ = send(stream, &answer, manner).await;
}

impl Inside {
    /// Counts as a met fault, since no request is read.
    fn peek_unreachable(&mut self) -> bool {
        let unreachable = matches!(self.fault, Some((Fault::Unreachable, left)) if left != Some(0));
        unreachable && self.next_fault().is_some()
    }

    fn answer(
        &mut self,
        request: &Request,
        now: tokio::time::Instant,
    ) -> (Answer, Option<Duration>, Manner) {
        let command = request.argument("cmnd").unwrap_or_default().to_owned();
        self.asked.push(Asked { at_ms: wall::now_ms(), command: command.clone() });
        let whole = |answer| (answer, None, Manner::Whole);
        match self.next_fault() {
            None => whole(self.obey(request, &command, now)),
            Some(Fault::Stall(stall)) => {
                (self.obey(request, &command, now), Some(stall), Manner::Whole)
            }
            Some(Fault::ResetMidBody) => (self.obey(request, &command, now), None, Manner::Torn),
            Some(Fault::ChunkedSplits) => (self.obey(request, &command, now), None, Manner::Split),
            Some(Fault::ObeysButReplyLost) => {
                self.obey(request, &command, now);
                whole(Answer::Nothing)
            }
            Some(Fault::EmptyReply | Fault::Unreachable) => whole(Answer::Nothing),
            Some(Fault::Silent) => whole(Answer::Silence),
            Some(Fault::Html) => whole(page()),
            Some(Fault::Refuses(body)) => whole(json(200, body)),
            Some(Fault::WrongPassword) => whole(self.wrong_password()),
            Some(Fault::Lies) => {
                // It dreams of having obeyed, and tells the dream.
                let truth = self.device.clone();
                let answer = self.obey(request, &command, now);
                self.device = truth;
                whole(answer)
            }
        }
    }

    fn obey(&mut self, request: &Request, command: &str, now: tokio::time::Instant) -> Answer {
        if request.path != "/cm" {
            return page();
        }
        if self.device.option(128) == 0 {
            return Answer::Nothing;
        }
        let profile = self.device.profile.clone();
        let knows = profile.password.as_deref().is_none_or(|password| request.shows(password));
        if !knows && !profile.version.takes_any_password() {
            return self.wrong_password();
        }
        if command.is_empty() {
            return json(200, r#"{"WARNING":"Enter command cmnd="}"#.to_owned());
        }
        let answer = self.device.execute(command, By::Http, now);
        if profile.version.answers_from_web_log() && !profile.weblog {
            // Done nevertheless.
            let warning = r#"{"WARNING":"Enable weblog 2 if response expected"}"#;
            return json(200, warning.to_owned());
        }
        json(200, answer)
    }

    fn wrong_password(&self) -> Answer {
        let status = if self.device.profile.version.wrong_password_is_401() { 401 } else { 200 };
        json(status, r#"{"WARNING":"Need user=<username>&password=<password>"}"#.to_owned())
    }
}

fn json(status: u16, body: String) -> Answer {
    Answer::Page(status, "application/json", body)
}

fn page() -> Answer {
    let html =
        "<!DOCTYPE html><html><head><title>Plug - Main Menu</title></head><body>ON</body></html>";
    Answer::Page(200, "text/html", html.to_owned())
}

async fn send(stream: &mut TcpStream, answer: &Answer, manner: Manner) -> std::io::Result<()> {
    let (status, kind, body) = match answer {
        Answer::Page(status, kind, body) => (status, kind, body),
        Answer::Nothing => return Ok(()),
        Answer::Silence => return stream.read(&mut [0; 64]).await.map(|_| ()),
    };
    let reason = if *status == 200 { "OK" } else { "Unauthorized" };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nServer: Tasmota\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    );
    let whole = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    match manner {
        Manner::Whole => stream.write_all(format!("{head}{whole}").as_bytes()).await?,
        Manner::Torn => {
            let half = head.len() + whole.len() / 2;
            stream.write_all(&format!("{head}{whole}").as_bytes()[..half]).await?;
            reset(stream);
            return Ok(());
        }
        Manner::Split => {
            let chunks = body.bytes().flat_map(|byte| [b'1', b'\r', b'\n', byte, b'\r', b'\n']);
            for byte in head.bytes().chain(chunks).chain(*b"0\r\n\r\n") {
                stream.write_all(&[byte]).await?;
            }
        }
    }
    stream.shutdown().await?;
    // Waits for the other side's end, so that closing resets nothing that is under way.
    let _ = timeout(PATIENCE, stream.read(&mut [0; 64])).await;
    Ok(())
}

/// From now on, closing the connection resets it.
fn reset(stream: &TcpStream) {
    // Fails only for a connection that is gone already.
    let _ = stream.set_zero_linger();
}
