// Judges a sigstore bundle with npm's `@sigstore/verify`: node sigstore-verify.mjs BUNDLE PUBLIC-KEY [DIGEST PREDICATE-TYPE | FILE]
// Exit status 0 if the key has signed it (and the statement is about the digest, with the predicate; or it is of the file), 1 if not.
// It resolves its packages from the directory where it is started.
import { readFileSync } from 'node:fs';
import { createPublicKey } from 'node:crypto';
import { createRequire } from 'node:module';

const require = createRequire(`${process.cwd()}/x.js`);
const { bundleFromJSON } = require('@sigstore/bundle');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');

const [file, pem, digest, predicateType] = process.argv.slice(2);
try {
  const bundle = bundleFromJSON(JSON.parse(readFileSync(file, 'utf8')));
  const rawBytes = createPublicKey(readFileSync(pem)).export({ type: 'spki', format: 'der' });
  const publicKey = { hint: '', keyDetails: 'PKIX_ECDSA_P256_SHA_256', rawBytes, publicKey: createPublicKey(readFileSync(pem)), validFor: () => true };
  const trust = toTrustMaterial(
    { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] },
    () => publicKey,
  );
  const none = { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 };
  const isOfFile = bundle.content.$case === 'messageSignature';
  new Verifier(trust, none).verify(toSignedEntity(bundle, isOfFile ? readFileSync(digest) : undefined));
  if (isOfFile) {
    console.log('verified');
    process.exit();
  }
  const statement = JSON.parse(bundle.content.dsseEnvelope.payload.toString());
  if (digest && !statement.subject.some((subject) => `sha256:${subject.digest.sha256}` === digest)) throw new Error('other subject');
  if (predicateType && statement.predicateType !== predicateType) throw new Error('other predicate');
  console.log('verified');
} catch (error) {
  console.error(`${error.code ?? error.name}: ${error.message}`);
  process.exitCode = 1;
}
