//! What stands between a node and its broker: a line that somebody hostile can take over.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use edgectl::lab::site::Site;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// What is done to a connection, given its number since the line was taken over.
pub(crate) type Act = fn(usize, TcpStream, Arc<ServerConfig>) -> io::Result<()>;

/// A line to the broker; or to somebody else, who has the broker's certificate.
#[derive(Debug)]
pub(crate) struct Front {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    broker: u16,
    tls: Arc<ServerConfig>,
    act: Mutex<Option<Act>>,
    open: Mutex<Vec<TcpStream>>,
    /// Connections since the line was taken over.
    accepted: AtomicUsize,
}

impl Front {
    /// Puts a line between the site's node and its broker; the configuration must be written.
    pub(crate) fn before(site: &Site) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let config = site.folder().join("agent.toml");
        let text = std::fs::read_to_string(&config)?;
        let here = text.replace(&site.broker.endpoint(), &format!("mqtts://127.0.0.1:{port}"));
        // So that a few seconds are enough for every ill.
        let here = here.replace("reconnect_max_ms = 1000", "reconnect_max_ms = 300");
        ensure!(here.contains("reconnect_min_ms = 50\nreconnect_max_ms = 300"), "{here}");
        std::fs::write(&config, here)?;
        let identity = site.authority.issue_broker(&["127.0.0.1"])?;
        let tls = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(identity.cert_pem.as_bytes())?],
                PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())?,
            )
            .context("the hostile broker's identity")?;
        let shared = Arc::new(Shared {
            broker: site.broker.port(),
            tls: Arc::new(tls),
            act: Mutex::default(),
            open: Mutex::default(),
            accepted: AtomicUsize::new(0),
        });
        let served = Arc::clone(&shared);
        // Ends with the test process.
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                served.serve(near);
            }
        });
        Ok(Self { shared })
    }

    /// From now on `act` is done to each connection. The present ones are cut.
    pub(crate) fn taken_over(&self, act: Act) {
        *lock(&self.shared.act) = Some(act);
        self.shared.accepted.store(0, Ordering::Relaxed);
        self.shared.cut();
    }

    /// The broker is back. The present connections are cut.
    pub(crate) fn given_back(&self) {
        *lock(&self.shared.act) = None;
        self.shared.cut();
    }

    /// How many connections there were since the line was taken over.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn serve(&self, near: TcpStream) {
        let act = *lock(&self.act);
        if let Ok(near) = near.try_clone() {
            lock(&self.open).push(near);
        }
        match act {
            None => self.relay(&near),
            Some(act) => {
                let number = self.accepted.fetch_add(1, Ordering::Relaxed);
                let tls = Arc::clone(&self.tls);
                thread::spawn(move || {
                    let end = near.try_clone();
                    // Whatever the node does about it may end the act: it is judged by others.
                    let _ = act(number, near, tls);
                    if let Ok(end) = end {
                        let _ = end.shutdown(Shutdown::Both);
                    }
                });
            }
        }
    }

    fn relay(&self, near: &TcpStream) {
        let Ok(far) = TcpStream::connect(("127.0.0.1", self.broker)) else { return };
        let (Ok(near2), Ok(far2)) = (near.try_clone(), far.try_clone()) else { return };
        if let Ok(near) = near.try_clone() {
            thread::spawn(move || pump(near, far2));
        }
        thread::spawn(move || pump(far, near2));
    }

    fn cut(&self) {
        for stream in lock(&self.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}
