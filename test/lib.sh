# Shared by test/run, test/demo and .ci/run; sourced, never run.
#
# What it offers: the packages a machine lacks, a private copy of an installed
# PostgreSQL into which piramid is built, and a throw-away cluster on a socket.
# Nothing outside $work is written, except by the package manager; no cluster
# is touched but the one that start_cluster made.

set -euo pipefail
umask 022
export LC_ALL=C.UTF-8 TZ=UTC
unset PGHOST PGPORT PGUSER PGDATABASE PGSERVICE PGOPTIONS PGDATA PGPASSFILE

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(nproc 2>/dev/null || echo 2)

say()
{
	printf '%s\n' "$*"
}

die()
{
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 2
}

# ------------------------------------------------------------------------
# Packages
# ------------------------------------------------------------------------

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "needs root for: $* (there is no sudo here)"
	fi
}

have_package()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

# need_packages PACKAGE...: install those that are missing, in one go.
need_packages()
{
	local missing=() p begin=$SECONDS

	for p in "$@"; do
		have_package "$p" || missing+=("$p")
	done
	((${#missing[@]})) || return 0
	say "installing: ${missing[*]}"
	if ! { update_packages && apt install -y --no-install-recommends "${missing[@]}"; } >"$work/apt.log" 2>&1; then
		tail -20 "$work/apt.log" >&2
		die "cannot install ${missing[*]}"
	fi
	say "installed in $((SECONDS - begin)) s"
}

# update_packages: refresh apt's lists, once a run.
update_packages()
{
	[ -n "${apt_updated:-}" ] || apt update
	apt_updated=1
}

# ------------------------------------------------------------------------
# PostgreSQL
# ------------------------------------------------------------------------

# find_postgres: set pg_config to that of PG_CONFIG, or of the newest
# installed version with development files, or install Debian's own version.
find_postgres()
{
	local c version

	if [ -n "${PG_CONFIG:-}" ] && [ "$PG_CONFIG" != pg_config ]; then
		pg_config=$(command -v "$PG_CONFIG") || die "there is no $PG_CONFIG"
		[ -f "$("$pg_config" --pgxs)" ] || die "$pg_config has no PGXS: install its server development package"
		return
	fi
	pg_config=
	for c in $(ls -d /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -V); do
		[ -x "${c%/*}/postgres" ] && [ -f "$("$c" --pgxs)" ] && [ -d "$("$c" --includedir-server)" ] && pg_config=$c
	done
	[ -z "$pg_config" ] || return 0

	if command -v apt-get >/dev/null; then
		if ! apt-cache show postgresql 2>/dev/null | grep -q '^Depends:'; then
			update_packages >"$work/apt.log" 2>&1 || { tail -5 "$work/apt.log" >&2; die "apt-get update failed"; }
		fi
		version=$(apt-cache show postgresql | sed -n 's/^Depends:.*postgresql-\([0-9][0-9]*\).*/\1/p' | sort -n | tail -1)
		[ -n "$version" ] || die "this distribution has no package named postgresql"
		need_packages "postgresql-$version" "postgresql-server-dev-$version"
		pg_config=/usr/lib/postgresql/$version/bin/pg_config
	else
		pg_config=$(command -v pg_config) || die "no PostgreSQL found: set PG_CONFIG"
	fi
}

# private_postgres: copy the installation of $pg_config below $work and point
# pg_config at the copy. PostgreSQL finds its files relative to the place of
# its own executable, as far as the installation's directories share a prefix;
# so the copy keeps the whole path of each below one new root. The system's
# PostgreSQL is not altered, and any number of copies can live side by side.
private_postgres()
{
	local root=$work/pg bindir pkglibdir sharedir include copy

	bindir=$("$pg_config" --bindir)
	pkglibdir=$("$pg_config" --pkglibdir)
	sharedir=$("$pg_config" --sharedir)
	include=$("$pg_config" --includedir-server)
	pg_major=$("$pg_config" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
	copy=$root$bindir/pg_config
	if [ ! -x "$copy" ]; then
		mkdir -p "$root$bindir" "$root$pkglibdir" "$root$sharedir" "$root$(dirname "$include")"
		cp -a "$bindir/." "$root$bindir/"
		# the server's own bitcode is large and only read when JIT inlines
		(cd "$pkglibdir" && tar -cf - --exclude=./bitcode .) | tar -C "$root$pkglibdir" -xf -
		rm -f "$root$pkglibdir"/piramid.so "$root$sharedir"/extension/piramid*
		cp -a "$sharedir/." "$root$sharedir/"
		rm -f "$root$sharedir"/extension/piramid*
		ln -s "$include" "$root$include"
		# Debian's samples are links to a sibling of the share directory
		if [ -d /usr/share/postgresql-common ] && [ ! -e "$root/usr/share/postgresql-common" ] && [ -d "$root/usr/share" ]; then
			ln -s /usr/share/postgresql-common "$root/usr/share/postgresql-common"
		fi
	fi
	case "$("$copy" --pkglibdir)|$("$copy" --sharedir)" in
		"$root"/*"|$root"/*) ;;
		*) die "the PostgreSQL of $pg_config cannot be relocated (its directories share no prefix)" ;;
	esac
	pg_config=$copy
	pg_bindir=$root$bindir
	pgxs_dir=$(cd "$(dirname "$("$copy" --pgxs)")/../.." && pwd)
}

# ------------------------------------------------------------------------
# The user who runs servers
# ------------------------------------------------------------------------

# PostgreSQL refuses root, so root works as user postgres (or nobody).
run_user=$(id -un)
if [ "$(id -u)" = 0 ]; then
	run_user=postgres
fi

as_user()
{
	if [ "$(id -un)" = "$run_user" ]; then
		"$@"
	else
		runuser -u "$run_user" -- "$@"
	fi
}

# own PATH...: give files below $work to the user who runs servers
own()
{
	[ "$(id -un)" = "$run_user" ] || chown -R "$run_user" "$@"
}

# ------------------------------------------------------------------------
# Work directory, build, cluster
# ------------------------------------------------------------------------

# make_work NAME: $work, removed at exit unless $keep is set. The path is
# short, since a socket's path may have only about 100 bytes.
make_work()
{
	work=$(mktemp -d "${TMPDIR:-/tmp}/piramid-$1.XXXXXX")
	work=$(cd "$work" && pwd -P)
	chmod 755 "$work"
	cd "$work"
	export HOME=$work
	trap 'status=$?; trap - EXIT; clean_up; exit $status' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

clean_up()
{
	set +e
	[ -n "${keep:-}" ] && return
	stop_servers
	rm -rf --one-file-system "$work"
}

# copy_source: the tree without what was built in it, to $work/src, so that
# neither the checkout nor builds in it are disturbed.
copy_source()
{
	mkdir -p "$work/src"
	tar -C "$top" --exclude=./.git --exclude=./build --exclude=./results --exclude=./output_iso \
		--exclude=./tmp_check --exclude='*.o' --exclude='*.bc' --exclude='*.so' --exclude='*.d' \
		--exclude=__pycache__ -cf - . | tar -C "$work/src" --no-same-owner -xf -
}

# build: make and install the copy into the private PostgreSQL.
build()
{
	own "$work"
	if ! as_user make -s -C "$work/src" -j"$jobs" PG_CONFIG="$pg_config" WERROR="${WERROR:-}" "$@" install >"$work/build.log" 2>&1; then
		head -100 "$work/build.log" >&2
		die "the build failed"
	fi
}

# start_cluster [SETTING...]: initdb, then a server on the socket in $work/s.
start_cluster()
{
	local setting

	mkdir -p "$work/s"
	own "$work/s"
	as_user "$pg_bindir/initdb" -D "$work/data" -A trust -U postgres -E UTF8 --locale=C.UTF-8 --no-sync \
		>"$work/initdb.log" 2>&1 || { cat "$work/initdb.log" >&2; die "initdb failed"; }
	for setting in "listen_addresses = ''" "unix_socket_directories = '$work/s'" "fsync = off" "$@"; do
		say "$setting"
	done | as_user tee -a "$work/data/postgresql.conf" >/dev/null
	as_user "$pg_bindir/pg_ctl" -D "$work/data" -l "$work/data/server.log" -s -w -t 60 start \
		|| { tail -20 "$work/data/server.log" >&2; die "the server does not start"; }
	export PGHOST=$work/s PGUSER=postgres
}

# stop_servers: every server whose data directory is below $work, also those
# of tests that were interrupted.
stop_servers()
{
	local pidfile

	find "$work" -name postmaster.pid 2>/dev/null | while read -r pidfile; do
		as_user "$pg_bindir/pg_ctl" -D "${pidfile%/*}" -m immediate -s -w stop >/dev/null 2>&1 || true
	done
}
