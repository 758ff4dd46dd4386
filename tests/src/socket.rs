//! An AMQP client that writes its frames itself: it says whatever fits into bytes, which no library would.

use std::collections::BTreeSet;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{TestBroker, within};

/// A connection with one channel, confirmed.
#[derive(Debug)]
pub struct Socket {
    stream: BufReader<TcpStream>,
    frame_max: usize,
    /// How many messages were sent.
    sent: u64,
    /// Which of them are not confirmed yet.
    unconfirmed: BTreeSet<u64>,
}

/// A content header's properties, byte by byte.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fields {
    /// By their place among the fourteen.
    present: [Option<Vec<u8>>; 14],
}

/// The properties that are short strings, and where they stand.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Text {
    ContentType = 0,
    ContentEncoding = 1,
    CorrelationId = 5,
    ReplyTo = 6,
    Expiration = 7,
    MessageId = 8,
    Kind = 10,
    UserId = 11,
    AppId = 12,
    ClusterId = 13,
}

impl Fields {
    /// With a property that is a short string: any bytes, at most 255.
    #[must_use]
    pub fn text(mut self, property: Text, bytes: impl AsRef<[u8]>) -> Self {
        self.present[property as usize] = Some(short(bytes));
        self
    }

    /// With headers: names and [values](value).
    #[must_use]
    pub fn headers<N: AsRef<[u8]>>(mut self, headers: &[(N, Vec<u8>)]) -> Self {
        self.present[2] = Some(entries(headers));
        self
    }

    /// With a delivery mode.
    #[must_use]
    pub fn delivery_mode(mut self, mode: u8) -> Self {
        self.present[3] = Some(vec![mode]);
        self
    }

    /// With a priority.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.present[4] = Some(vec![priority]);
        self
    }

    /// With a timestamp.
    #[must_use]
    pub fn timestamp(mut self, seconds: u64) -> Self {
        self.present[9] = Some(seconds.to_be_bytes().to_vec());
        self
    }

    /// Whether it has this property.
    #[must_use]
    pub fn has(&self, property: Text) -> bool {
        self.present[property as usize].is_some()
    }

    /// The payload of a content header's frame.
    fn payload(&self, body: usize) -> Vec<u8> {
        let mut flags = 0_u16;
        for (place, _) in self.present.iter().enumerate().filter(|(_, field)| field.is_some()) {
            flags |= 1 << (15 - place);
        }
        let mut payload = [BASIC, 0_u16].map(u16::to_be_bytes).concat();
        payload.extend((body as u64).to_be_bytes());
        payload.extend(flags.to_be_bytes());
        payload.extend(self.present.iter().flatten().flatten());
        payload
    }

    /// The bytes of the whole frame.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        self.payload(0).len() + FRAME_OVERHEAD
    }
}

/// The values of headers, as they go over the wire.
pub mod value {
    /// A value of the type of this letter, whatever follows.
    #[must_use]
    pub fn of(letter: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        [&[letter], bytes.as_ref()].concat()
    }

    /// Text, or any other bytes.
    #[must_use]
    pub fn text(bytes: impl AsRef<[u8]>) -> Vec<u8> {
        of(b'S', super::long(bytes))
    }

    /// A number.
    #[must_use]
    pub fn number(number: i64) -> Vec<u8> {
        of(b'l', number.to_be_bytes())
    }

    /// A list.
    #[must_use]
    pub fn array(values: &[Vec<u8>]) -> Vec<u8> {
        of(b'A', super::long(values.concat()))
    }

    /// A table.
    #[must_use]
    pub fn table<N: AsRef<[u8]>>(headers: &[(N, Vec<u8>)]) -> Vec<u8> {
        of(b'F', super::entries(headers))
    }

    /// Nothing, in so many lists (`A`) and tables (`F`) around one another, by turns as `letters` says.
    #[must_use]
    pub fn nested(letters: &[u8], depth: usize) -> Vec<u8> {
        let levels = letters.iter().copied().cycle().take(depth);
        let mut left = 1 + levels.clone().map(|letter| if letter == b'F' { 7 } else { 5 }).sum::<usize>();
        let mut value = Vec::with_capacity(left);
        for letter in levels {
            left -= 5;
            value.push(letter);
            value.extend(super::length(left));
            if letter == b'F' {
                left -= 2;
                value.extend(super::short("n"));
            }
        }
        value.push(b'V');
        value
    }
}

/// Where a message goes.
#[derive(Clone, Copy, Debug)]
pub struct To<'a> {
    /// The exchange.
    pub exchange: &'a str,
    /// The routing key: any bytes, at most 255.
    pub routing_key: &'a [u8],
}

impl Socket {
    /// Connects to a test's virtual host, as guest.
    pub async fn connect(broker: &TestBroker) -> Self {
        let url = broker.url();
        let address = url.rsplit('@').next().and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let stream = within("connecting", TcpStream::connect(address)).await.expect("the broker is there");
        let mut socket = Self { stream: BufReader::new(stream), frame_max: 0, sent: 0, unconfirmed: BTreeSet::new() };
        socket.write(b"AMQP\x00\x00\x09\x01").await;
        socket.answer([10, 10]).await;
        let login = [entries::<&str>(&[]), short("PLAIN"), long("\0guest\0guest"), short("en_US")].concat();
        socket.method([10, 11], &login, 0).await;
        // What the broker offers is taken, less its heartbeats.
        let mut tune = socket.answer([10, 30]).await;
        socket.frame_max = u32::from_be_bytes([tune[2], tune[3], tune[4], tune[5]]) as usize;
        tune[6..8].fill(0);
        socket.method([10, 31], &tune, 0).await;
        socket.method([10, 40], &[short(broker.vhost()), short(""), vec![0]].concat(), 0).await;
        socket.answer([10, 41]).await;
        socket.method([20, 10], &short(""), 1).await;
        socket.answer([20, 11]).await;
        socket.method([85, 10], &[0], 1).await;
        socket.answer([85, 11]).await;
        socket
    }

    /// The largest frame that the broker takes.
    #[must_use]
    pub fn frame_max(&self) -> usize {
        self.frame_max
    }

    /// Publishes, and returns once it is confirmed.
    ///
    /// # Panics
    /// The broker refuses it.
    pub async fn publish(&mut self, to: To<'_>, fields: &Fields, body: &[u8]) {
        self.send(to, fields, body).await;
        self.confirmed().await;
    }

    /// Publishes without waiting for the broker.
    pub async fn send(&mut self, to: To<'_>, fields: &Fields, body: &[u8]) {
        let target = [vec![0, 0], short(to.exchange), short(to.routing_key), vec![0]].concat();
        self.method([60, 40], &target, 1).await;
        self.frame(HEADER, 1, &fields.payload(body.len())).await;
        for part in body.chunks(self.frame_max - FRAME_OVERHEAD) {
            self.frame(BODY, 1, part).await;
        }
        self.sent += 1;
        self.unconfirmed.insert(self.sent);
    }

    /// Returns once all that was sent is confirmed.
    ///
    /// # Panics
    /// The broker refuses something of it.
    pub async fn confirmed(&mut self) {
        while !self.unconfirmed.is_empty() {
            let ack = self.answer([60, 80]).await;
            let (tag, multiple) = ack.split_first_chunk().expect("a tag and a bit");
            let tag = u64::from_be_bytes(*tag);
            if multiple == [0] {
                self.unconfirmed.remove(&tag);
            } else {
                self.unconfirmed.retain(|sent| *sent > tag);
            }
        }
    }

    /// The arguments of the broker's next method, which is to be this one.
    async fn answer(&mut self, [class, method]: [u16; 2]) -> Vec<u8> {
        let payload = within(format!("method {class}.{method}"), self.read()).await;
        let wanted = [class, method].map(u16::to_be_bytes).concat();
        assert!(payload.starts_with(&wanted), "not {class}.{method} but {:?}", String::from_utf8_lossy(&payload));
        payload[4..].to_vec()
    }

    /// The payload of the next frame, which is to be a method's.
    async fn read(&mut self) -> Vec<u8> {
        let mut head = [0; 7];
        self.stream.read_exact(&mut head).await.expect("the broker goes on");
        let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        let mut payload = vec![0; length + 1];
        self.stream.read_exact(&mut payload).await.expect("the broker goes on");
        assert_eq!((head[0], payload.pop()), (METHOD, Some(END)));
        payload
    }

    async fn method(&mut self, [class, method]: [u16; 2], arguments: &[u8], channel: u16) {
        let id = [class, method].map(u16::to_be_bytes).concat();
        self.frame(METHOD, channel, &[&id, arguments].concat()).await;
    }

    async fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let frame = [&[kind], &channel.to_be_bytes()[..], &length(payload.len()), payload, &[END]].concat();
        self.write(&frame).await;
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.expect("the broker reads");
    }
}

const BASIC: u16 = 60;
const FRAME_OVERHEAD: usize = 8;
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const END: u8 = 0xCE;

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("a length of 32 bits").to_be_bytes()
}

fn short(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&[u8::try_from(bytes.len()).expect("at most 255 bytes")], bytes].concat()
}

fn long(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    [&length(bytes.as_ref().len()), bytes.as_ref()].concat()
}

fn entries<N: AsRef<[u8]>>(headers: &[(N, Vec<u8>)]) -> Vec<u8> {
    let entries = headers.iter().map(|(name, value)| [short(name), value.clone()].concat());
    long(entries.collect::<Vec<_>>().concat())
}
