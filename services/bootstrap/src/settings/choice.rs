//! Settings whose value is one of a few words.

/// Makes an enum a [`Value`](crate::Value): each word and what it stands for, in the order of help.
///
/// ```
/// #[derive(Debug, PartialEq)]
/// enum Mode { Fast, Safe }
///
/// wsmesh_bootstrap::choices!(Mode, "mode", "fast" => Mode::Fast, "safe" => Mode::Safe);
///
/// use wsmesh_bootstrap::Value;
/// assert_eq!(Mode::parse("safe"), Ok(Mode::Safe));
/// assert_eq!(Mode::parse("slow"), Err("\"slow\" is not a mode: write fast or safe".to_owned()));
/// ```
#[macro_export]
macro_rules! choices {
    ($type:ty, $what:literal, $first:literal => $first_value:path $(, $word:literal => $value:path)* $(,)?) => {
        impl $crate::Value for $type {
            const HINT: &'static str = concat!($first $(, "|", $word)*);

            fn parse(text: &str) -> ::core::result::Result<Self, ::std::string::String> {
                match text {
                    $first => Ok($first_value),
                    $( $word => Ok($value), )*
                    _ => Err($crate::not_a_choice::<Self>(text, $what)),
                }
            }

            fn show(&self) -> ::core::option::Option<$crate::toml::Value> {
                let word = match self {
                    $first_value => $first,
                    $( $value => $word, )*
                };
                Some(word.into())
            }
        }
    };
}

/// The problem of a word that [`choices!`](crate::choices!) does not know.
#[doc(hidden)]
pub fn not_a_choice<T: crate::Value>(text: &str, what: &str) -> String {
    let article = if what.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    let words = match T::HINT.rsplit_once('|') {
        Some((before, last)) => format!("{} or {last}", before.replace('|', ", ")),
        None => T::HINT.to_owned(),
    };
    format!("{text:?} is not {article} {what}: write {words}")
}
