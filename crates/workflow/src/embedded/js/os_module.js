// `node:os` of the embedded engine: homes and temporary folders come from the job's environment.
import native from 'native/os';

const homedir = () => process.env.HOME ?? native.homedir();
const tmpdir = () => (process.env.TMPDIR ?? process.env.TMP ?? process.env.TEMP ?? '/tmp').replace(/(.)\/$/, '$1');
const os = { ...native, EOL: native.EOL, devNull: native.devNull, homedir, tmpdir };
export default os;
export { homedir, tmpdir };
export const {
  EOL, arch, availableParallelism, cpus, devNull, endianness, freemem, getPriority, hostname, loadavg, machine,
  networkInterfaces, platform, release, setPriority, totalmem, type, uptime, userInfo, version,
} = os;
