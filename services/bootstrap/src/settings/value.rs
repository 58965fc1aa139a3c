//! How a single value is written and read.

/// A single value of a setting. Implemented here for numbers, `bool`, `String`, `PathBuf`, addresses, networks, `Duration`
/// (`250ms`, `25s`, `2m`, `1h`) and the adapter's types. For an enum, use [`choices!`](crate::choices!).
///
/// ```
/// use wsmesh_bootstrap::Value;
///
/// struct Percent(u8);
///
/// impl Value for Percent {
///     const HINT: &'static str = "PERCENT";
///     fn parse(text: &str) -> Result<Self, String> {
///         let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
///         number.map(Self).ok_or_else(|| format!("{text:?} is not a percentage: write for example 50%"))
///     }
///     fn show(&self) -> Option<toml::Value> {
///         Some(format!("{}%", self.0).into())
///     }
/// }
/// ```
pub trait Value: Sized {
    /// The form of a value in help: `N`, `FILE`, `json|msgpack`.
    const HINT: &'static str;
    /// Whether `--flag` alone means `true`.
    const SWITCH: bool = false;

    /// Reads a value.
    ///
    /// # Errors
    /// A sentence that says what to write instead. It repeats `text` only if that cannot be a secret.
    fn parse(text: &str) -> Result<Self, String>;

    /// The value as in the file, or `None` if it must not be shown.
    fn show(&self) -> Option<toml::Value>;
}
