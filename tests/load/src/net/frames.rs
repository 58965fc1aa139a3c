//! Reads frames from received bytes: whole texts go to the duty, control frames are answered here.

use super::connection::Connection;
use super::{Duty, End, Net};
use crate::wire::client_frame;
use crate::wire::server_frame::{CLOSE, CONTINUATION, Header, MAX_PAYLOAD, PING, TEXT, close_reason};

impl Net {
    /// Handles every whole frame of `bytes`; returns how many bytes that were, or how the connection ended.
    #[inline]
    pub(super) fn take_frames<D: Duty>(
        &mut self,
        duty: &mut D,
        index: usize,
        bytes: &[u8],
        now: u64,
    ) -> Result<usize, End> {
        let mut taken = 0;
        loop {
            let header = match Header::parse(&bytes[taken..]) {
                Ok(Some(header)) if bytes.len() - taken >= header.whole() => header,
                Ok(_) => return Ok(taken),
                Err(error) => return Err(End::Broken(error.to_string())),
            };
            let payload = &bytes[taken + header.size..taken + header.whole()];
            taken += header.whole();
            if header.opcode == TEXT && header.last {
                duty.text(self, index, payload, now);
            } else {
                self.unusual_frame(duty, index, header, payload, now)?;
            }
            if !self.is_open(index) {
                // The duty closed it: the rest is not read.
                return Ok(bytes.len());
            }
        }
    }

    #[cold]
    fn unusual_frame<D: Duty>(
        &mut self,
        duty: &mut D,
        index: usize,
        header: Header,
        payload: &[u8],
        now: u64,
    ) -> Result<(), End> {
        let connection: &mut Connection = &mut self.connections[index];
        match header.opcode {
            PING => {
                client_frame::pong(&mut connection.output, payload);
                self.flush(index);
            }
            CLOSE => {
                let (code, reason) = close_reason(payload);
                client_frame::close(&mut connection.output, code.unwrap_or(1000));
                // The connection ends in any case.
                let _ = connection.flush();
                return Err(End::Closed { code, reason });
            }
            TEXT | CONTINUATION => {
                if connection.message.len() + payload.len() > MAX_PAYLOAD {
                    return Err(End::Broken(format!(
                        "the server sent a message of more than {MAX_PAYLOAD} bytes"
                    )));
                }
                connection.message.extend_from_slice(payload);
                if header.last {
                    let message = std::mem::take(&mut connection.message);
                    duty.text(self, index, &message, now);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
