//! File operations for the `node:fs` scripts, with Node's error codes.
//!
//! One function does them all; it is called directly for the `…Sync` functions and on a blocking thread for
//! the others. The scripts (`js/fs_module.js`) take care of options, encodings and classes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use rquickjs::{Array, Ctx, Exception, IntoJs, Object, Result, TypedArray, Value};

/// An operation as the scripts ask for it.
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) path: String,
    /// A second path.
    pub(crate) to: Option<String>,
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) numbers: [f64; 2],
}

/// What it gives.
pub(crate) enum Outcome {
    Nothing,
    Text(String),
    Bytes(Vec<u8>),
    Entries(Vec<(String, &'static str)>),
    Stat(Box<fs::Metadata>),
}

/// What went wrong, and where.
pub(crate) struct Failure {
    error: io::Error,
    call: &'static str,
    path: String,
    to: Option<String>,
}

impl Operation {
    /// Does it. Blocks.
    pub(crate) fn perform(self) -> std::result::Result<Outcome, Failure> {
        let Some((call, run)) = lookup(&self.name) else {
            let error = io::Error::new(
                io::ErrorKind::Unsupported,
                "the embedded engine has no such operation",
            );
            return Err(Failure { error, call: "fs", path: self.path, to: None });
        };
        run(&self).map_err(|error| Failure { error, call, path: self.path, to: self.to })
    }

    fn path(&self) -> &Path {
        Path::new(&self.path)
    }

    fn to(&self) -> &Path {
        Path::new(self.to.as_deref().unwrap_or_default())
    }

    fn data(&self) -> &[u8] {
        self.data.as_deref().unwrap_or_default()
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "modes and flags are small"
    )]
    fn number(&self, index: usize) -> u32 {
        self.numbers[index] as u32
    }

    fn flag(&self, bit: u32) -> bool {
        self.number(0) & bit != 0
    }
}

type Run = fn(&Operation) -> io::Result<Outcome>;

/// The system call that Node names in errors, and the function.
fn lookup(name: &str) -> Option<(&'static str, Run)> {
    Some(match name {
        "access" => ("access", |op| {
            let mode = nix::unistd::AccessFlags::from_bits_truncate(op.number(0).cast_signed());
            nothing(nix::unistd::access(op.path(), mode).map_err(io::Error::from))
        }),
        "readFile" => ("open", |op| {
            let mut bytes = Vec::new();
            File::open(op.path())?.read_to_end(&mut bytes)?;
            Ok(Outcome::Bytes(bytes))
        }),
        "writeFile" => ("open", write_file),
        "copyFile" => ("copyfile", |op| {
            if op.flag(1) && op.to().exists() {
                return Err(Errno::EEXIST.into());
            }
            nothing(fs::copy(op.path(), op.to()).map(drop))
        }),
        "mkdir" => ("mkdir", make_dir),
        "mkdtemp" => ("mkdtemp", |op| {
            let made = nix::unistd::mkdtemp(&PathBuf::from(format!("{}XXXXXX", op.path)))?;
            Ok(Outcome::Text(text(&made)))
        }),
        "readdir" => ("scandir", read_dir),
        "rename" => ("rename", |op| nothing(fs::rename(op.path(), op.to()))),
        "rm" => ("rm", remove),
        "rmdir" => ("rmdir", |op| nothing(fs::remove_dir(op.path()))),
        "unlink" => ("unlink", |op| nothing(fs::remove_file(op.path()))),
        "stat" => ("stat", |op| Ok(Outcome::Stat(Box::new(fs::metadata(op.path())?)))),
        "lstat" => ("lstat", |op| Ok(Outcome::Stat(Box::new(fs::symlink_metadata(op.path())?)))),
        "symlink" => ("symlink", |op| nothing(std::os::unix::fs::symlink(op.path(), op.to()))),
        "link" => ("link", |op| nothing(fs::hard_link(op.path(), op.to()))),
        "readlink" => ("readlink", |op| Ok(Outcome::Text(text(&fs::read_link(op.path())?)))),
        "realpath" => ("realpath", |op| Ok(Outcome::Text(text(&fs::canonicalize(op.path())?)))),
        "chmod" => ("chmod", |op| {
            nothing(fs::set_permissions(op.path(), fs::Permissions::from_mode(op.number(0))))
        }),
        "truncate" => ("open", |op| {
            nothing(OpenOptions::new().write(true).open(op.path())?.set_len(op.number(0).into()))
        }),
        "utimes" => ("utime", |op| {
            let at =
                |seconds: f64| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds.max(0.0));
            let times = fs::FileTimes::new()
                .set_accessed(at(op.numbers[0]))
                .set_modified(at(op.numbers[1]));
            nothing(File::open(op.path())?.set_times(times))
        }),
        _ => return None,
    })
}

fn nothing(result: io::Result<()>) -> io::Result<Outcome> {
    result.map(|()| Outcome::Nothing)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Flags: 1 append, 2 must not exist.
fn write_file(op: &Operation) -> io::Result<Outcome> {
    let mut options = OpenOptions::new();
    options.write(true).mode(op.number(1));
    if op.flag(1) {
        options.append(true).create(true);
    } else if op.flag(2) {
        options.create_new(true);
    } else {
        options.create(true).truncate(true);
    }
    nothing(options.open(op.path())?.write_all(op.data()))
}

/// Flag 1: also what is missing above; gives the first folder that was made.
fn make_dir(op: &Operation) -> io::Result<Outcome> {
    let mut builder = fs::DirBuilder::new();
    builder.mode(op.number(1));
    if !op.flag(1) {
        return nothing(builder.create(op.path()));
    }
    let first =
        op.path().ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).last();
    let first = first.map(Path::to_path_buf);
    builder.recursive(true).create(op.path())?;
    Ok(first.map_or(Outcome::Nothing, |first| {
        Outcome::Text(text(&std::path::absolute(&first).unwrap_or(first)))
    }))
}

fn read_dir(op: &Operation) -> io::Result<Outcome> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(op.path())? {
        let entry = entry?;
        let kind = match entry.file_type()? {
            kind if kind.is_dir() => "dir",
            kind if kind.is_symlink() => "link",
            kind if kind.is_fifo() => "fifo",
            kind if kind.is_socket() => "socket",
            kind if kind.is_file() => "file",
            _ => "device",
        };
        entries.push((entry.file_name().to_string_lossy().into_owned(), kind));
    }
    entries.sort_unstable();
    Ok(Outcome::Entries(entries))
}

/// Flags: 1 recursive, 2 nothing there is fine.
fn remove(op: &Operation) -> io::Result<Outcome> {
    let result = match fs::symlink_metadata(op.path()) {
        Ok(found) if !found.is_dir() => fs::remove_file(op.path()),
        Ok(_) if op.flag(1) => fs::remove_dir_all(op.path()),
        Ok(_) => Err(Errno::EISDIR.into()),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if op.flag(2) && error.kind() == io::ErrorKind::NotFound => Ok(Outcome::Nothing),
        other => nothing(other),
    }
}

impl<'js> IntoJs<'js> for Outcome {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        match self {
            Outcome::Nothing => Ok(Value::new_undefined(ctx.clone())),
            Outcome::Text(text) => text.into_js(ctx),
            Outcome::Bytes(bytes) => TypedArray::new(ctx.clone(), bytes)?.into_js(ctx),
            Outcome::Entries(entries) => {
                let list = Array::new(ctx.clone())?;
                for (index, (name, kind)) in entries.into_iter().enumerate() {
                    list.set(index, vec![name, kind.to_owned()])?;
                }
                list.into_js(ctx)
            }
            Outcome::Stat(found) => stat(ctx, &found)?.into_js(ctx),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "JavaScript numbers; Node loses the same digits")]
fn stat<'js>(ctx: &Ctx<'js>, found: &fs::Metadata) -> Result<Object<'js>> {
    let object = Object::new(ctx.clone())?;
    let millis = |seconds: i64, nanos: i64| seconds as f64 * 1000.0 + nanos as f64 / 1e6;
    object.set("dev", found.dev() as f64)?;
    object.set("ino", found.ino() as f64)?;
    object.set("mode", found.mode())?;
    object.set("nlink", found.nlink() as f64)?;
    object.set("uid", found.uid())?;
    object.set("gid", found.gid())?;
    object.set("size", found.size() as f64)?;
    object.set("blocks", found.blocks() as f64)?;
    object.set("blksize", found.blksize() as f64)?;
    object.set("atimeMs", millis(found.atime(), found.atime_nsec()))?;
    object.set("mtimeMs", millis(found.mtime(), found.mtime_nsec()))?;
    object.set("ctimeMs", millis(found.ctime(), found.ctime_nsec()))?;
    object.set("birthtimeMs", millis(found.ctime(), found.ctime_nsec()))?;
    Ok(object)
}

impl Failure {
    /// As Node's error: `ENOENT: no such file or directory, open 'x'`, with `code` and the like.
    pub(crate) fn into_exception<'js>(self, ctx: &Ctx<'js>) -> Result<Exception<'js>> {
        let places = match &self.to {
            Some(to) => format!("'{}' -> '{to}'", self.path),
            None => format!("'{}'", self.path),
        };
        system_error(ctx, &self.error, self.call, &places, Some(&self.path))
    }

    /// Throws it.
    pub(crate) fn throw(self, ctx: &Ctx<'_>) -> rquickjs::Error {
        self.into_exception(ctx).map_or_else(|error| error, Exception::throw)
    }
}

/// An error of the operating system in Node's form.
fn system_error<'js>(
    ctx: &Ctx<'js>,
    error: &io::Error,
    call: &str,
    places: &str,
    path: Option<&str>,
) -> Result<Exception<'js>> {
    let errno = error.raw_os_error().map(Errno::from_raw);
    let code = errno.map_or_else(|| "EIO".to_owned(), |errno| format!("{errno:?}"));
    let what = errno.map_or_else(|| error.to_string(), |errno| errno.desc().to_lowercase());
    let exception = Exception::from_message(
        ctx.clone(),
        format!("{code}: {what}, {call} {places}").trim_end(),
    )?;
    let object = exception.as_object();
    object.set("errno", errno.map_or(-5, |errno| -(errno as i32)))?;
    object.set("code", code)?;
    object.set("syscall", call)?;
    if let Some(path) = path {
        object.set("path", path)?;
    }
    Ok(exception)
}

/// Throws an error of the operating system in Node's form.
pub(crate) fn throw_system_error(
    ctx: &Ctx<'_>,
    error: &io::Error,
    call: &str,
    places: &str,
    path: Option<&str>,
) -> rquickjs::Error {
    system_error(ctx, error, call, places, path).map_or_else(|error| error, Exception::throw)
}
