// `node:url` of the embedded engine.
import native from 'native/url';

const invalid = (message, code) => Object.assign(new TypeError(message), { code });

export function fileURLToPath(url) {
  const parsed = typeof url === 'string' ? new URL(url) : url;
  if (parsed.protocol !== 'file:') throw invalid('The URL must be of scheme file', 'ERR_INVALID_URL_SCHEME');
  if (parsed.hostname !== '' && parsed.hostname !== 'localhost') {
    throw invalid('File URL host must be "localhost" or empty on linux', 'ERR_INVALID_FILE_URL_HOST');
  }
  if (/%2f/i.test(parsed.pathname)) {
    throw invalid('File URL path must not include encoded / characters', 'ERR_INVALID_FILE_URL_PATH');
  }
  return decodeURIComponent(parsed.pathname);
}

export function pathToFileURL(path) {
  const absolute = path.startsWith('/') ? path : `${process.cwd()}/${path}`;
  const encoded = absolute.replace(/[%\\\n\r\t?#]/g, (character) => encodeURIComponent(character));
  return new URL(`file://${encoded}`);
}

const url = { ...native, fileURLToPath, pathToFileURL };
export default url;
export const { URL, URLSearchParams, domainToASCII, domainToUnicode, format, urlToHttpOptions } = native;
