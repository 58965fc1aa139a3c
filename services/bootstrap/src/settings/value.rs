//! How one value is written and read.

/// A single value that a setting can have. Implemented here for numbers, `bool`, `String`, `PathBuf`, `SocketAddr`,
/// `Duration` (`250ms`, `25s`, `2m`, `1h`) and the adapter's types; a service implements it for its own enums.
///
/// ```
/// use wsmesh_bootstrap::Value;
///
/// #[derive(Clone, Copy)]
/// enum Mode { Fast, Safe }
///
/// impl Value for Mode {
///     const HINT: &'static str = "fast|safe";
///     fn parse(text: &str) -> Result<Self, String> {
///         match text {
///             "fast" => Ok(Self::Fast),
///             "safe" => Ok(Self::Safe),
///             _ => Err(format!("{text:?} is no mode: write fast or safe")),
///         }
///     }
///     fn show(&self) -> Option<toml::Value> {
///         Some(match self { Self::Fast => "fast", Self::Safe => "safe" }.into())
///     }
/// }
/// ```
pub trait Value: Sized {
    /// What a value looks like in help: `N`, `FILE`, `json|msgpack`.
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
