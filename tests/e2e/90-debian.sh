# Debian 13 with packages whose scripts are evaluated, for both platforms, and their programs at work in the sandbox.
mkdir -m 755 "$work/debian"
(
  cd "$work/debian" && exec >/dev/null 2>&1
  openssl req -x509 -newkey rsa:2048 -nodes -days 7 -subj '/CN=Example authority' -keyout authority.key -out authority.crt
  openssl req -newkey rsa:2048 -nodes -subj '/CN=localhost' -keyout server.key -out server.csr
  printf 'subjectAltName=DNS:localhost\n' >server.ext
  openssl req -x509 -newkey rsa:2048 -nodes -days 7 -subj '/CN=localhost' -addext 'subjectAltName=DNS:localhost' -keyout other.key -out other.crt
  openssl x509 -req -in server.csr -CA authority.crt -CAkey authority.key -CAcreateserial -days 7 -extfile server.ext -out server.crt
)
cat >"$work/debian/server.js" <<'J'
const fs = require("fs");
const name = process.argv[2];
const options = { key: fs.readFileSync(name + ".key"), cert: fs.readFileSync(name + ".crt") };
require("https").createServer(options, (request, response) => response.end("greetings")).listen(8443, "127.0.0.1");
J
cat >"$work/debian/Client.java" <<'J'
import java.net.URI;
public class Client {
  public static void main(String[] args) throws Exception {
    for (int attempt = 0; ; attempt++) {
      try (var stream = URI.create("https://localhost:8443/").toURL().openStream()) {
        System.out.println(new String(stream.readAllBytes()));
        return;
      } catch (java.net.ConnectException refused) {
        if (attempt == 300) throw refused;
        Thread.sleep(100);
      }
    }
  }
}
J
cat >"$work/debian/pinfold.toml" <<'M'
name = "many"
platforms = ["linux/amd64", "linux/arm64"]
[debian]
suite = "trixie"
packages = ["golang-go", "nodejs", "npm", "default-jdk-headless", "php-cli", "clang", "postgresql", "nginx", "vim", "chromium", "ca-certificates", "bash"]
[user]
name = "worker"
uid = 1000
gid = 1000
home = "/home/worker"
[image]
volumes = ["/var/lib/nginx"]
[[link]]
path = "/var/log/nginx/error.log"
target = "/dev/stderr"
replace = true
[[link]]
path = "/var/log/nginx/access.log"
target = "/dev/stdout"
replace = true
[[file]]
path = "/usr/local/share/ca-certificates/example.crt"
source = "authority.crt"
M
own "$work/debian"
many() { as_user "$work/debian" "$work/pinfold" "$@"; }
inside_many() { many run --quiet --unprotect .git -- bash -c "$1"; }
check 'trixie with 12 packages builds for both platforms' many build --quiet
check 'its layers stand every reader' many verify --only oci many
says 'go' 'go version go1' inside_many 'go version'
same 'node' 42 inside_many 'node -e "console.log(6 * 7)"'
says 'php' 'PHP 8' inside_many 'php -v'
says 'vim' 'Vi IMproved' inside_many 'vim --version'
says 'clang compiles' 'Debian clang version' inside_many 'clang --version && echo "int main(void){return 0;}" > x.c && clang -o x x.c && ./x'
check 'nginx -t' inside_many '/usr/sbin/nginx -t'
check 'initdb' inside_many '/usr/lib/postgresql/*/bin/initdb -D ~/database --locale=C -A trust'
same 'java opens https to a server whose authority the manifest names' greetings inside_many 'node server.js server & java Client.java; kill %1'
refuse 'and to none whose authority it does not' 1 inside_many 'node server.js other & java Client.java; status=$?; kill %1; exit $status'
says 'since nobody vouches for it' 'unable to find valid certification path' cat "$work/said"
