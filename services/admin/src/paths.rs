//! Where the API is among the paths of the public port.

/// What the paths of all routes of the API begin with, after the prefix if there is one.
pub(crate) const ROOT: &str = "/api/v1";

/// The part of a route's pattern below [`ROOT`], whatever prefix is before it; None outside of the API.
pub(crate) fn below_root(pattern: &str) -> Option<&str> {
    let begin = pattern.rfind(ROOT)? + ROOT.len();
    let below = &pattern[begin..];
    (below.is_empty() || below.starts_with('/')).then_some(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_does_not_matter_even_if_it_looks_like_the_root() {
        for prefix in ["", "/admin", "/a/b", "/api/v1"] {
            assert_eq!(
                below_root(&format!("{prefix}/api/v1/nodes/{{id}}")),
                Some("/nodes/{id}")
            );
        }
        assert_eq!(below_root("/api/v1"), Some(""));
        for other in ["none", "/docs/", "/api/v10/nodes", ""] {
            assert_eq!(below_root(other), None, "{other}");
        }
    }
}
