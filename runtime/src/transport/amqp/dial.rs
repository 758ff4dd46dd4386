//! An attempt to connect that leaves nothing behind when it is given up.
//!
//! lapin works on a connection in a thread of its own, which knows nothing of a caller that has gone: against a peer that
//! takes the TCP connection and says nothing each attempt would leave a thread and a socket, and against a broker that was
//! frozen each would be a connection in the end that nobody uses. So the socket is shut down from outside.

use std::{
    io,
    net::Shutdown,
    sync::{Arc, Mutex, PoisonError},
};

use async_rs::{Runtime, Tokio};
use lapin::{
    AsyncTcpStream, ConnectionProperties,
    tcp::{AMQPUriTcpExt, OwnedTLSConfig},
    uri::{AMQPScheme, AMQPUri},
};
use socket2::{SockRef, Socket};
use tokio_util::sync::CancellationToken;

use super::guard::{self, Guard};

/// Connects. Cancel safe: whatever was begun ends when the future is dropped.
pub(super) async fn dial(uri: AMQPUri, properties: ConnectionProperties) -> lapin::Result<lapin::Connection> {
    let attempt = Attempt::default();
    let (over, socket) = (attempt.over.clone(), Arc::clone(&attempt.socket));
    let tokio = Tokio::current();
    let runtime = guard::runtime(&tokio);
    let ours = Runtime::new(tokio);
    let frame_max = uri.query.frame_max;
    let connect = async move |uri: AMQPUri, _| {
        let given_up = || lapin::Error::from(io::Error::from(io::ErrorKind::ConnectionAborted));
        let scheme = uri.scheme.clone();
        let plain = AMQPUri { scheme: AMQPScheme::AMQP, ..uri.clone() };
        let connecting = async {
            let stream = plain.connect_async(&ours).await?;
            if let AsyncTcpStream::Plain(stream) = &stream {
                let copy = SockRef::from(stream.get_ref()).try_clone()?;
                *socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
            }
            match scheme {
                AMQPScheme::AMQP => Ok(stream),
                // Without the feature `tls` it would stay clear text; such an address is refused long before.
                AMQPScheme::AMQPS => stream.into_tls(&uri.authority.host, OwnedTLSConfig::default().as_ref()).await,
            }
        };
        let stream: io::Result<_> = tokio::select! {
            biased;
            () = over.cancelled() => return Err(given_up()),
            stream = connecting => stream,
        };
        // Given up between the two, it would have found no socket to shut down.
        if over.is_cancelled() {
            return Err(given_up());
        }
        // Above TLS, which has its own frames.
        Ok(AsyncTcpStream::Plain(Guard::new(stream?, frame_max)))
    };
    let connected = lapin::Connection::connector(uri, runtime, connect, properties).await;
    attempt.end(connected.is_err());
    connected
}

/// What an attempt has to let go of.
#[derive(Default)]
struct Attempt {
    over: CancellationToken,
    /// The socket, a second time.
    socket: Arc<Mutex<Option<Socket>>>,
}

impl Attempt {
    fn end(&self, failed: bool) {
        self.over.cancel();
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(socket), true) = (socket, failed) {
            // One that is closed already is what we want.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // Nothing is left to end if it was ended before.
        self.end(true);
    }
}
