#!/usr/bin/awk -f
# Counts the tests in the output of a suite (`cargo test`, or the spec reporter of `node --test`). Prints a line "PASSED FAILED
# SKIPPED", then the names of failed tests, one a line.
/^test result: / { passed += $4; failed += $6; skipped += $8 }
/^test .* \.\.\. FAILED$/ { name = $0; sub(/^test /, "", name); sub(/ \.\.\. FAILED$/, "", name); names = names name "\n" }
/^ℹ pass [0-9]+$/ { passed += $3 }
/^ℹ (fail|cancelled) [0-9]+$/ { failed += $3 }
/^ℹ (skipped|todo) [0-9]+$/ { skipped += $3 }
/^✖ failing tests:$/ { listing = 1; next }
listing && /^✖ / { name = $0; sub(/^✖ /, "", name); sub(/ \([0-9.]+ms\)$/, "", name); names = names name "\n" }
END { printf "%d %d %d\n%s", passed, failed, skipped, names }
