# npm as npm: a few packages as `npm install --global` makes them, path by path; `cargo xtask npm` does it for many.
if have npm && have python3; then
  cp "$here/npm-compare.py" "$work/npm-compare.py"
  mkdir -m 755 "$work/npm" && own "$work/npm"
  for packages in prettier@3+rimraf@6+mkdirp@3 https-proxy-agent@7+agent-base@7 npm@11 tsx@4 @sourcegraph/amp; do
    says "as npm: $packages" "same $packages" as_user "$work/npm" python3 "$work/npm-compare.py" "$work/pinfold" "$work/npm" "$packages"
  done
  rm -rf "$work/npm"
else
  skip 'as npm' 'no npm or no python3'
fi
