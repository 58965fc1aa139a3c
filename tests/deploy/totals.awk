#!/usr/bin/awk -f
# Passes the output of `cargo test` on and adds all its results up in one closing line; which tests failed is said again.
{ print; fflush() }
/^test result: / { passed += $4; failed += $6; skipped += $8; suites++ }
/^test .* \.\.\. FAILED$/ { names = names "\n  " $2 }
END {
  if (names != "") print "\nfailed:" names
  printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped
}
