//! Tokio as lapin sees it, with streams that are guarded: lapin takes no others than those of its runtime.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use async_rs::{Runtime, Tokio, traits::Reactor, util::RuntimeParts};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Stream;
use lapin::AsyncTcpStream;

use super::Guard;

/// Tokio's own stream, in clear text or not, guarded.
type Guarded = Guard<AsyncTcpStream<<Tokio as Reactor>::TcpStream>>;

/// The runtime for connections whose streams are guarded.
pub(in super::super) fn runtime(tokio: &Tokio) -> Runtime<RuntimeParts<Tokio, Guarding>> {
    Runtime::new(RuntimeParts::new(tokio.clone(), Guarding(tokio.clone())))
}

/// Tokio, less what lapin makes no use of.
#[derive(Clone, Debug)]
pub(in super::super) struct Guarding(Tokio);

impl Reactor for Guarding {
    type TcpStream = Guarded;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H>(&self, _: H) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Guarded, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.0.sleep(time)
    }

    fn interval(&self, time: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(time)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let connecting = self.0.tcp_connect_addr(address);
        async move { Ok(Guard::new(AsyncTcpStream::Plain(connecting.await?), None)) }
    }
}
