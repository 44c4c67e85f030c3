"""Serves a directory on loopback with byte ranges, several of them in one request too (RFC 9110, section 14): ranges.py DIRECTORY.
Prints its port first; GET /sent tells how many bytes of files it has sent so far."""
import http.server
import os
import re
import sys

sent = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        global sent
        if self.path == '/sent':
            return self.answer(200, [], str(sent).encode())
        try:
            with open(os.path.join(sys.argv[1], os.path.basename(self.path)), 'rb') as file:
                status, headers, body = self.ranges(file)
        except OSError:
            return self.answer(404, [], b'')
        sent += len(body)
        self.answer(status, headers, body)

    def ranges(self, file):
        size = os.fstat(file.fileno()).st_size
        wanted = [(int(a), int(b) if b else size - 1) for a, b in re.findall(r'(\d+)-(\d*)', self.headers.get('Range', ''))]
        parts = []
        for first, last in wanted:
            file.seek(first)
            parts.append((f'bytes {first}-{last}/{size}', file.read(last - first + 1)))
        if not parts:
            return 200, [], file.read()
        if len(parts) == 1:
            return 206, [('Content-Range', parts[0][0])], parts[0][1]
        body = b''.join(b'\r\n--part\r\nContent-Range: %s\r\n\r\n%s' % (where.encode(), part) for where, part in parts)
        return 206, [('Content-Type', 'multipart/byteranges; boundary=part')], body + b'\r\n--part--\r\n'

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers + [('Content-Length', str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
