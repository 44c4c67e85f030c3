# The Debian part against mmdebstrap, path by path: `debian-trees.sh` has the sets. Two quick ones of trixie and one of bookworm by
# themselves; DEBIAN_TREES="SUITE/NAME …" names others.
if have mmdebstrap && [ "$(id -u)" = 0 ]; then
  compare=$(ls -t "$target"/*/release/examples/compare-tree "$target"/release/examples/compare-tree 2>/dev/null | head -n 1)
  [ -n "$compare" ] || { (cd "$root" && cargo build --quiet --release -p pinfold-sources --example compare-tree) &&
    compare=$(ls -t "$target"/*/release/examples/compare-tree | head -n 1); }
  for one in ${DEBIAN_TREES:-bookworm/S1 trixie/S1 trixie/edit}; do
    check "$one is mmdebstrap's tree, path by path" env PINFOLD="$work/pinfold" COMPARE="$compare" WORK="$work/trees" \
      PINFOLD_HOME="$work/trees-home" "$root/tests/e2e/debian-trees.sh" "${one%/*}" "${one#*/}"
  done
else skip mmdebstrap 'it needs root here, and the package mmdebstrap'; fi
