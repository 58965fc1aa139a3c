//! Close codes: why a connection ended, and whether the client should reconnect. The only place that knows what a code
//! means.
//!
//! 4001 to 4012 come from the JavaScript package, the other 4000s are wsmesh's, and the rest are defined by RFC 6455.

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// 1000: the connection has served its purpose.
    Normal,
    /// 1001: one side goes away, or the client was in the background for too long.
    GoingAway,
    /// 1002: a frame breaks RFC 6455.
    ProtocolError,
    /// 1003: a binary message that is not text, or any binary message where they are not accepted.
    UnsupportedData,
    /// 1007: text that is not UTF-8.
    InvalidUtf8,
    /// 1008: a policy violation that no more specific code covers.
    PolicyViolation,
    /// 1009: a message is larger than allowed.
    TooBig,
    /// 1011: an internal error of the server.
    InternalError,
    /// 1012: this server restarts; reconnect, to another server.
    ServiceRestart,
    /// 1013: a limit is reached, or the id is already logged in and the oldest login wins; try again later.
    TryAgainLater,
    /// 4001: the client's application closed the connection.
    ManualClose,
    /// 4002: the client received no pong in time.
    PongTimeout,
    /// 4010: logged out by force.
    ForcedLogout,
    /// 4011: authentication failed.
    AuthenticationFailed,
    /// 4012: replaced by a newer login of the same id, on any server.
    Replaced,
    /// 4013: the client reads too slowly.
    SlowConsumer,
    /// 4014: authentication did not come in time.
    AuthenticationTimeout,
    /// 4015: too many messages.
    RateLimit,
    /// Any other code.
    Other(u16),
}

/// What a client does after a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Reconnect, with the usual jitter.
    ComeBackNow,
    /// Reconnect after the delay given in the reason, or after the usual one.
    ComeBackAfterDelay,
    /// Do not reconnect automatically.
    DoNotComeBack,
}

const DELAY: &str = "retry-after-ms=";

impl CloseCode {
    /// Whether an endpoint may send this number in a close frame: RFC 6455, section 7.4, and 1012 to 1014 from IANA's
    /// registry.
    pub const fn may_be_sent(number: u16) -> bool {
        matches!(number, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// What a client does after this code.
    pub fn group(self) -> Group {
        match self {
            Self::ServiceRestart | Self::TryAgainLater | Self::RateLimit | Self::SlowConsumer => {
                Group::ComeBackAfterDelay
            }
            Self::Normal
            | Self::ProtocolError
            | Self::UnsupportedData
            | Self::InvalidUtf8
            | Self::PolicyViolation
            | Self::TooBig
            | Self::ManualClose
            | Self::ForcedLogout
            | Self::AuthenticationFailed
            | Self::Replaced => Group::DoNotComeBack,
            Self::GoingAway
            | Self::InternalError
            | Self::PongTimeout
            | Self::AuthenticationTimeout
            | Self::Other(_) => Group::ComeBackNow,
        }
    }

    /// The close reason that tells a client to reconnect after a delay in milliseconds.
    pub fn reason_with_delay(self, delay_ms: u64) -> String {
        format!("{DELAY}{delay_ms}")
    }

    /// The delay in milliseconds in a close reason, if it has one.
    pub fn parse_delay(reason: &str) -> Option<u64> {
        reason.strip_prefix(DELAY)?.parse().ok()
    }

    /// Whether this number has a meaning, by RFC 6455, IANA's registry or wsmesh; others are an application's own.
    pub const fn is_assigned(number: u16) -> bool {
        matches!(number, 1000..=1014 | 4001 | 4002 | 4010..=4015)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> u16 {
        match code {
            CloseCode::Normal => 1000,
            CloseCode::GoingAway => 1001,
            CloseCode::ProtocolError => 1002,
            CloseCode::UnsupportedData => 1003,
            CloseCode::InvalidUtf8 => 1007,
            CloseCode::PolicyViolation => 1008,
            CloseCode::TooBig => 1009,
            CloseCode::InternalError => 1011,
            CloseCode::ServiceRestart => 1012,
            CloseCode::TryAgainLater => 1013,
            CloseCode::ManualClose => 4001,
            CloseCode::PongTimeout => 4002,
            CloseCode::ForcedLogout => 4010,
            CloseCode::AuthenticationFailed => 4011,
            CloseCode::Replaced => 4012,
            CloseCode::SlowConsumer => 4013,
            CloseCode::AuthenticationTimeout => 4014,
            CloseCode::RateLimit => 4015,
            CloseCode::Other(code) => code,
        }
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        match code {
            1000 => Self::Normal,
            1001 => Self::GoingAway,
            1002 => Self::ProtocolError,
            1003 => Self::UnsupportedData,
            1007 => Self::InvalidUtf8,
            1008 => Self::PolicyViolation,
            1009 => Self::TooBig,
            1011 => Self::InternalError,
            1012 => Self::ServiceRestart,
            1013 => Self::TryAgainLater,
            4001 => Self::ManualClose,
            4002 => Self::PongTimeout,
            4010 => Self::ForcedLogout,
            4011 => Self::AuthenticationFailed,
            4012 => Self::Replaced,
            4013 => Self::SlowConsumer,
            4014 => Self::AuthenticationTimeout,
            4015 => Self::RateLimit,
            code => Self::Other(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_keeps_its_number_both_ways() {
        for number in 1000..5000 {
            assert_eq!(u16::from(CloseCode::from(number)), number);
        }
    }

    #[test]
    fn only_registered_and_private_codes_may_be_sent() {
        for number in [1000, 1003, 1007, 1014, 3000, 4001, 4999] {
            assert!(CloseCode::may_be_sent(number), "{number}");
        }
        for number in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, u16::MAX] {
            assert!(!CloseCode::may_be_sent(number), "{number}");
        }
    }

    #[test]
    fn a_delay_that_was_written_is_read_back() {
        let reason = CloseCode::ServiceRestart.reason_with_delay(1500);
        assert_eq!(reason, "retry-after-ms=1500");
        assert_eq!(CloseCode::parse_delay(&reason), Some(1500));
        assert_eq!(CloseCode::parse_delay("retry-after-ms=soon"), None);
        assert_eq!(CloseCode::parse_delay("bye"), None);
    }

    #[test]
    fn a_client_that_was_kicked_does_not_reconnect_but_one_whose_server_restarts_does() {
        for code in [
            CloseCode::ForcedLogout,
            CloseCode::AuthenticationFailed,
            CloseCode::Replaced,
            CloseCode::ManualClose,
        ] {
            assert_eq!(code.group(), Group::DoNotComeBack, "{code:?}");
        }
        assert_eq!(CloseCode::ServiceRestart.group(), Group::ComeBackAfterDelay);
        assert_eq!(CloseCode::PongTimeout.group(), Group::ComeBackNow);
        assert_eq!(CloseCode::Other(1006).group(), Group::ComeBackNow);
    }
}
