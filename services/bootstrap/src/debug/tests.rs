use super::*;
use crate::settings::{Secret, SecretFile};

fn file(text: &str) -> SecretFile {
    SecretFile::from_secret(Secret::new(text))
}

#[test]
fn a_token_that_is_short_long_or_not_visible_is_refused_with_what_to_do() {
    for wrong in [
        "short",
        "with spaces in between",
        "ümläute-are-not-ascii",
        &"x".repeat(1025),
    ] {
        let problem = Token::of(&file(wrong)).expect_err("refused");
        assert!(
            problem.contains("openssl rand -hex 32") && !problem.contains(wrong),
            "{problem}"
        );
    }
}

#[test]
fn only_the_same_token_opens_and_it_is_never_shown() {
    let token = Token::of(&file("0123456789abcdef")).expect("a good token");
    assert!(token.is(b"0123456789abcdef"));
    for wrong in ["", "0123456789abcdeF", "0123456789abcdef0", "0123456789abcde"] {
        assert!(!token.is(wrong.as_bytes()), "{wrong}");
    }
    assert!(!format!("{token:?}").contains("0123"));
}

#[tokio::test]
async fn without_a_file_there_are_no_routes() {
    let common = CommonConfig::new("a");
    assert!(!routes(&common).expect("none").has_routes());
    let with_file = CommonConfig {
        debug_token_file: Some(file("0123456789abcdef")),
        ..common
    };
    assert!(routes(&with_file).expect("some").has_routes());
}
