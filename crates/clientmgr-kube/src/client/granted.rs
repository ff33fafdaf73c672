//! [`Granted`]: how many streams at a time a server grants an HTTP/2 connection. hyper does not expose this number; it
//! queues the requests beyond it. The first frame of a server says it (RFC 9113, 3.4 and 6.5).

const HEADER: usize = 9;
const SETTINGS: u8 = 0x4;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
/// The settings of a server are few, of six bytes each.
const LONGEST_FRAME: usize = 16 * 1024;

/// Reads the first frame of a connection, as its bytes arrive.
#[derive(Default)]
pub(super) struct Granted {
    frame: Vec<u8>,
    is_read: bool,
}

impl Granted {
    /// For a connection whose bytes say nothing of streams.
    pub(super) fn unlimited() -> Self {
        Self { frame: Vec::new(), is_read: true }
    }

    /// Takes the next bytes from the server. Returns how many streams it grants once the frame that says it is complete.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Option<u32> {
        if self.is_read {
            return None;
        }
        let missing = self.length().saturating_sub(self.frame.len());
        let (head, rest) = bytes.split_at(missing.min(bytes.len()));
        self.frame.extend_from_slice(head);
        if self.frame.len() < HEADER || self.length() > LONGEST_FRAME {
            self.is_read = self.frame.len() >= HEADER;
            return None;
        }
        if self.frame.len() < self.length() {
            // The length is known only now.
            return if rest.is_empty() { None } else { self.read(rest) };
        }
        self.is_read = true;
        streams(&std::mem::take(&mut self.frame))
    }

    /// How long the frame is, as far as that is known.
    fn length(&self) -> usize {
        match self.frame[..] {
            [a, b, c, _, _, _, _, _, _, ..] => HEADER + u32::from_be_bytes([0, a, b, c]) as usize,
            _ => HEADER,
        }
    }
}

/// The last value that a frame of settings gives.
fn streams(frame: &[u8]) -> Option<u32> {
    let (head, settings) = frame.split_at_checked(HEADER)?;
    let mut values = settings.chunks_exact(6).filter_map(|setting| match *setting {
        [id, of, a, b, c, d] if u16::from_be_bytes([id, of]) == MAX_CONCURRENT_STREAMS => {
            Some(u32::from_be_bytes([a, b, c, d]))
        }
        _ => None,
    });
    values.next_back().filter(|_| head[3] == SETTINGS)
}

#[cfg(test)]
mod tests {
    use super::Granted;

    fn frame(kind: u8, settings: &[(u16, u32)]) -> Vec<u8> {
        let length = u32::try_from(settings.len() * 6).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, 0, 0, 0, 0, 0];
        for (id, value) in settings {
            frame.extend(id.to_be_bytes());
            frame.extend(value.to_be_bytes());
        }
        frame
    }

    /// What is read of `bytes` that arrive `size` at a time.
    fn read(bytes: &[u8], size: usize) -> Vec<u32> {
        let mut granted = Granted::default();
        bytes.chunks(size).filter_map(|bytes| granted.read(bytes)).collect()
    }

    #[test]
    fn the_first_frame_says_it_however_its_bytes_arrive() {
        let later = frame(4, &[(3, 7)]);
        for (first, expected) in [
            (frame(4, &[(1, 0), (3, 50), (4, 65_535)]), vec![50]),
            (frame(4, &[(3, 50), (3, 10)]), vec![10]),
            (frame(4, &[(1, 0)]), vec![]),
            (frame(4, &[]), vec![]),
            (frame(8, &[(3, 50)]), vec![]),
        ] {
            let bytes = [first, later.clone(), b"more".to_vec()].concat();
            for size in 1..=bytes.len() {
                assert_eq!(read(&bytes, size), expected, "{size} at a time: {bytes:?}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_frame_are_not_kept() {
        let mut granted = Granted::default();
        assert_eq!(granted.read(b"HTTP/1.1 400 Bad Request\r\n\r\n"), None);
        assert!(granted.is_read && granted.frame.len() <= super::HEADER);
        assert_eq!(Granted::unlimited().read(&frame(4, &[(3, 50)])), None);
    }
}
