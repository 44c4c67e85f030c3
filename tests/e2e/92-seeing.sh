# What is told of the image: differences, a path, and the page, which is opened in a browser.
refuse 'the image differs from one of another platform' 1 run diff iteron-sandbox "oci-archive:$work/project/image.oci.tar"
says 'the image does not differ from its own layout' 'Nothing differs.' run diff iteron-sandbox "oci:$work/project/layout:latest"
says 'explain a link of alternatives' 'generated/alternatives' run explain iteron-sandbox /usr/bin/awk
says 'explain says where it was fetched' 'pool/main/d/dash/' run explain iteron-sandbox /bin/sh
refuse 'explain says what is near' 1 run explain iteron-sandbox /usr/bin/gti
check 'it is said' grep -qF '/usr/bin/git' "$work/said"
check 'one page over the image' run report iteron-sandbox -o report.html
check 'the same page again' sh -c "cp $work/project/report.html $work/first.html"
check 'another time' run report iteron-sandbox -o report.html
check 'the page is the same' cmp "$work/first.html" "$work/project/report.html"
if have chromium; then
  printf '%s\n' 'width 320: fits' 'width 360: fits' 'width 768: fits' 'width 1280: fits' 'loaded: nothing' 'console: nothing' 'scripts: none' >"$work/wanted"
  same 'it fits every screen, loads nothing, has no script' "$(cat "$work/wanted")" python3 "$here/browser.py" "$work/project/report.html"
  # Controls: what is too wide, and what the policy refuses, is seen.
  sed 's|</body>|<div style="width:900px">x</div><script>1</script></body>|' "$work/project/report.html" >"$work/broken.html"
  refuse 'a broken page is told' 1 sh -c "python3 $here/browser.py $work/broken.html >$work/said && diff $work/wanted $work/said"
else skip 'report in a browser' 'chromium is not installed'; fi
