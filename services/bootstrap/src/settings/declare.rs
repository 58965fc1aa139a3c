//! The macro that declares settings.

/// Declares a struct of settings. It implements [`Settings`](crate::Settings) and `Default`, and derives `Debug` and `Clone`.
///
/// A field is a setting: `/// documentation`, `name: type`, and `= default` unless the type's own default will do (`None`,
/// empty). Between documentation and name, in this order:
///
/// - `#[key = "max_clients"]`: the setting's name, if it is not the field's.
/// - `#[group = "Heading"]`: the field is another struct of settings. They are given without the group's name.
/// - `#[filled_in = "from where"]`: no setting; the service fills it in when it checks its configuration.
/// - `#[check(within(1..=100))]`: which values are allowed. See [`Check`](crate::Check).
///
/// ```
/// use wsmesh_bootstrap::{Problems, Settings, settings, within};
///
/// settings! {
///     /// Settings of the example.
///     pub struct Example {
///         /// Clients that are served at the same time.
///         #[check(within(1..=1000))]
///         pub max_clients: usize = 10,
///         /// Clients that may connect; several.
///         pub guests: Vec<String>,
///         /// How the example greets.
///         #[group = "Greeting"]
///         pub greeting: Greeting,
///     }
/// }
///
/// settings! {
///     /// How the example greets.
///     pub struct Greeting {
///         /// The first word.
///         #[key = "greeting_word"]
///         pub word: String = "Hello".to_owned(),
///     }
/// }
///
/// let mut problems = Problems::default();
/// Example { max_clients: 0, ..Example::default() }.check(&mut problems);
/// assert_eq!(problems.lines(), ["max_clients: is too small: write at least 1"]);
/// let keys: Vec<_> = Example::declared().iter().map(|setting| setting.key).collect();
/// assert_eq!(keys, ["max_clients", "guests", "greeting_word"]);
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[$outer:meta])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $(#[doc($hidden:ident)])?
                $(#[key = $key:literal])?
                $(#[group = $group:literal])?
                $(#[filled_in = $from:literal])?
                $(#[check($check:expr)])?
                $field_vis:vis $field:ident : $type:ty $(= $default:expr)?
            ),* $(,)?
        }
    ) => {
        // The documentation of settings is for people who run a service: brackets in it are not links.
        #[cfg_attr(doc, allow(rustdoc::broken_intra_doc_links, reason = "the texts are help texts"))]
        $(#[$outer])*
        #[derive(Debug, Clone)]
        $vis struct $name {
            $( $(#[doc = $doc])+ $(#[doc($hidden)])? $field_vis $field: $type, )*
        }

        impl ::core::default::Default for $name {
            fn default() -> Self {
                Self { $( $field: $crate::settings!(@default $type $(, $default)?), )* }
            }
        }

        impl $crate::Settings for $name {
            fn declared() -> ::std::vec::Vec<$crate::Setting> {
                let defaults = Self::default();
                let _ = &defaults;
                let declared: &[::std::vec::Vec<$crate::Setting>] = &[ $( $crate::settings!(
                    @declare &defaults.$field, $type, concat!($($doc, "\n"),+),
                    $crate::settings!(@key $field $($key)?), [$($group)?], [$($from)?], [$($check)?]
                ), )* ];
                declared.concat()
            }

            fn take(values: &mut $crate::Values) -> Self {
                let _ = &values;
                let Self { $( $field, )* } = Self::default();
                Self { $( $field: $crate::settings!(
                    @take values, $field, $type,
                    $crate::settings!(@key $field $($key)?), [$($group)?], [$($from)?]
                ), )* }
            }

            fn check(&self, problems: &mut $crate::Problems) {
                let _ = &problems;
                $( $crate::settings!(
                    @check problems, &self.$field, $type,
                    $crate::settings!(@key $field $($key)?), [$($group)?], [$($check)?]
                ); )*
            }
        }
    };
    (@default $type:ty, $default:expr) => { $default };
    (@default $type:ty) => { <$type as ::core::default::Default>::default() };

    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };

    (@declare $default:expr, $type:ty, $doc:expr, $key:expr, [], [], []) => {
        ::std::vec![$crate::Setting::new::<$type>($key, $doc, $default)]
    };
    (@declare $default:expr, $type:ty, $doc:expr, $key:expr, [], [], [$check:expr]) => {
        ::std::vec![$crate::Setting::new::<$type>($key, $doc, $default).checked::<$type>(&$check)]
    };
    (@declare $default:expr, $type:ty, $doc:expr, $key:expr, [$group:literal], [], []) => {{
        let group = <$type as $crate::Settings>::declared();
        group.into_iter().map(|setting| setting.grouped($group)).collect()
    }};
    (@declare $default:expr, $type:ty, $doc:expr, $key:expr, [], [$from:literal], [$($check:expr)?]) => {
        ::std::vec::Vec::new()
    };

    (@take $values:ident, $default:expr, $type:ty, $key:expr, [], []) => { $values.take($key, $default) };
    (@take $values:ident, $default:expr, $type:ty, $key:expr, [$group:literal], []) => {{
        drop($default);
        <$type as $crate::Settings>::take($values)
    }};
    (@take $values:ident, $default:expr, $type:ty, $key:expr, [], [$from:literal]) => { $default };

    (@check $problems:ident, $value:expr, $type:ty, $key:expr, [], []) => {};
    (@check $problems:ident, $value:expr, $type:ty, $key:expr, [$group:literal], []) => {
        <$type as $crate::Settings>::check($value, $problems)
    };
    (@check $problems:ident, $value:expr, $type:ty, $key:expr, [], [$check:expr]) => {
        for problem in $crate::Check::<$type>::problems(&$check, $value) {
            $problems.about($key, problem);
        }
    };
}
