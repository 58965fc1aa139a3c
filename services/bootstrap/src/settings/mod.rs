//! Declaring settings: one line per setting gives its flag, environment variable, file key, default and documentation.
//!
//! `max_clients: usize = 10` is `--max-clients`, `WSMESH_MAX_CLIENTS` and `max_clients` in the file. How a value is
//! written is up to its type: see [`Value`] (one value) and [`Field`] (also optional, several, or a table of the file).

mod field;
mod http_url;
mod scalars;
mod secret;
mod table;
mod value;

pub use field::{Field, Raw, Shape, Shown};
pub use http_url::HttpUrl;
pub(crate) use scalars::RoutingKind;
pub use secret::{Secret, SecretFile};
pub use table::{Table, Tables};
pub use value::Value;

pub use crate::config::Values;

/// One declared setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its key in the file: `max_clients`.
    pub key: &'static str,
    /// What it is for, in sentences.
    pub doc: &'static str,
    /// What a value looks like in help: `ADDR`.
    pub hint: &'static str,
    /// One value, several, or a table of the file.
    pub shape: Shape,
    /// Whether it can be given without a value, as `--key`.
    pub switch: bool,
    /// The default, as it is shown.
    pub default: Shown,
}

impl Setting {
    /// A setting of type `T`.
    pub fn new<T: Field>(key: &'static str, doc: &'static str, default: &T) -> Self {
        Self {
            key,
            doc,
            hint: T::HINT,
            shape: T::SHAPE,
            switch: T::SWITCH,
            default: default.show(),
        }
    }

    /// The flag, without dashes: `max-clients`.
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// The environment variable: `WSMESH_MAX_CLIENTS`.
    pub fn variable(&self) -> String {
        format!("WSMESH_{}", self.key.to_uppercase())
    }
}

/// A struct of settings, written with [`settings!`](crate::settings!).
pub trait Settings: Default {
    /// All of them, in the order of declaration.
    fn declared() -> Vec<Setting>;
    /// Takes each from where it was given; problems are noted there, and defaults stand in.
    fn take(values: &mut Values) -> Self;
}

crate::settings! {
    /// For a service without settings of its own.
    pub struct NoSettings {}
}

/// Declares a struct of settings: `/// documentation`, `name: type`, and `= default` unless the type's own default will
/// do (`None`, empty). Implements [`Settings`] and `Default`, derives `Debug` and `Clone`.
///
/// ```
/// wsmesh_bootstrap::settings! {
///     /// Settings of the example.
///     pub struct Example {
///         /// Most clients at a time.
///         pub max_clients: usize = 10,
///         /// Who may come.
///         pub guests: Vec<String>,
///     }
/// }
/// assert_eq!(Example::default().max_clients, 10);
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[$outer:meta])*
        $vis:vis struct $name:ident {
            $( $(#[doc = $doc:literal])+ $field_vis:vis $field:ident : $type:ty $(= $default:expr)? ),* $(,)?
        }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone)]
        $vis struct $name {
            $( $(#[doc = $doc])+ $field_vis $field: $type, )*
        }

        impl ::core::default::Default for $name {
            fn default() -> Self {
                Self { $( $field: $crate::settings!(@default $type $(, $default)?), )* }
            }
        }

        impl $crate::Settings for $name {
            fn declared() -> ::std::vec::Vec<$crate::Setting> {
                let Self { $( $field, )* } = Self::default();
                ::std::vec![ $(
                    $crate::Setting::new::<$type>(stringify!($field), concat!($($doc, "\n"),+), &$field),
                )* ]
            }

            fn take(values: &mut $crate::Values) -> Self {
                let _ = &values;
                let Self { $( $field, )* } = Self::default();
                Self { $( $field: values.take(stringify!($field), $field), )* }
            }
        }
    };
    (@default $type:ty, $default:expr) => { $default };
    (@default $type:ty) => { <$type as ::core::default::Default>::default() };
}
