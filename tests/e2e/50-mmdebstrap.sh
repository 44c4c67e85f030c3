# The Debian part against mmdebstrap, path by path: `debian-trees.sh` has the sets. Two quick ones of trixie and one of bookworm by
# themselves; DEBIAN_TREES="SUITE/NAME …" names others.
if have mmdebstrap && [ "$(id -u)" = 0 ]; then
  # `cargo test` builds it.
  built() { ls -t "$target"/*/debug/examples/compare-tree "$target"/debug/examples/compare-tree 2>/dev/null | head -n 1; }
  compare=$(built)
  [ -n "$compare" ] || { (cd "$root" && cargo test --quiet --workspace --example compare-tree --no-run) && compare=$(built); }
  for one in ${DEBIAN_TREES:-bookworm/S1 trixie/S1 trixie/edit}; do
    check "$one is mmdebstrap's tree, path by path" env PINFOLD="$work/pinfold" COMPARE="$compare" WORK="$work/trees" \
      PINFOLD_HOME="$work/trees-home" "$root/tests/e2e/debian-trees.sh" "${one%/*}" "${one#*/}"
  done
  chmod -R u+w "$work/trees" "$work/trees-home" 2>/dev/null; rm -rf "$work/trees" "$work/trees-home"
else skip mmdebstrap 'it needs root here, and the package mmdebstrap'; fi
