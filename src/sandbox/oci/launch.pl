#!/usr/bin/perl -w
# Holds one sandbox: makes a mount namespace, mounts what the plan says, runs the container in it, then stays as the
# container's parent to keep its log (capped) and write down how it ended. Started with the plan on stdin and two arguments:
# what it is for, by which it is found (a session's id), and the architecture as Node.js names it.
# Because every mount lives in this namespace alone, the death of the container is also the end of its mounts and its
# loop device, whatever happened to sandboxd. Needs perl-base only. It trusts its plan: it validates nothing.
#
# A plan has one operation a line, fields percent-encoded and separated by a blank:
#   users <uid map> <gid map>         first of all, for an ordinary user: a user namespace in which it is root, with the
#                                     ids that newuidmap and newgidmap grant; all that follows happens in there
#   scratch <folder>                  cover a folder with an empty file system that everybody may pass through
#   run <command…>                    to its end; an operation of its own for `probe` to answer with its output
#   disk <image> <folder> [ro]        mount an ext4 file system image; `ro`: as a layer, which several may have mounted
#   folder <path> <uid>               make a folder and give it to a uid, if it is not there yet
#   idmap <source> <target> <base> [from]  bind read-only, with ids from-(from+65535), 0 unless told, shown as base-(base+65535)
#   bind <source> <target>            bind read-only
#   overlay <target> <options>
#   memory <file>                     where the kernel counts what it has ended because memory was used up
#   scope <unit>                      the container is made in this scope of the user's systemd, which removes a scope and
#                                     its counts with the last process: the holder is in there too
#   probe                             only say that all of the above worked, and what the last `run` has said
#   container <uid> <pid file> <exit file> <log file> <log bytes> <command…>
#                                     the command makes it; the uid may open its standard output anew; the exit file gets the
#                                     status of wait(2), the time and the number of those ended for memory
# Answers `ok <pid of the container>` or `failed <operation>: <why>` on stdout. A plan that is cut off is refused.
use strict;

# Instead of the modules POSIX, Fcntl and Config, and -w instead of that of warnings: a sandbox waits for what they load.
my %numbers = (
    x64   => { mount => 165, unshare => 272, prctl => 157, setsid => 112, close => 3,  exit_group => 231 },
    arm64 => { mount => 40,  unshare => 97,  prctl => 167, setsid => 157, close => 57, exit_group => 94 },
);
my $machine = $ARGV[1] // 'none';
my $number = $numbers{$machine} or print("failed start: no system call numbers for $machine\n") && exit 1;

# The same on every architecture.
my ( $OPEN_TREE, $MOVE_MOUNT, $MOUNT_SETATTR ) = ( 428, 429, 442 );
my ( $CLONE_NEWNS, $CLONE_NEWUSER ) = ( 0x20000, 0x10000000 );
my ( $MS_RDONLY, $MS_REMOUNT, $MS_BIND, $MS_REC, $MS_SLAVE ) = ( 1, 32, 4096, 16384, 1 << 19 );
my ( $MS_NOSUID, $MS_NODEV ) = ( 2, 4 );
my ( $AT_EMPTY_PATH, $AT_FDCWD ) = ( 0x1000, -100 );
my ( $OPEN_TREE_CLONE, $OPEN_TREE_CLOEXEC ) = ( 1, 02000000 );
my ( $ATTR_RDONLY, $ATTR_NOSUID, $ATTR_NODEV, $ATTR_IDMAP ) = ( 1, 2, 4, 0x100000 );
my $F_EMPTY_PATH = 4;
my $PR_SET_CHILD_SUBREAPER = 36;
my ( $O_WRONLY, $O_CREAT, $O_APPEND ) = ( 1, 0100, 02000 );

my @plan = map { chomp; [ map { s/%([0-9A-Fa-f]{2})/chr hex $1/ger } split / / ] } <STDIN>;

pipe( my $answer, my $answer_in ) or die "pipe: $!";
my $holder = fork // die "fork: $!";
if ($holder) {
    close $answer_in;
    my ( $line, $at ) = ( undef, 'start' );
    while ( defined( $line = <$answer> ) && $line =~ /^at (\S+)/ ) { $at = $1 }
    print $line // "failed $at: " . ended($holder) . "\n";
    exit( $line && $line =~ /^ok / ? 0 : 1 );
}
close $answer;
syscall( $number->{setsid} );
my ( $memory_events, $scope );
my $step = 'start';
my $said = '';
eval { hold(); 1 } or do {
    ( my $why = $@ ) =~ s/\s+/ /g;
    syswrite $answer_in, "failed $step: $why\n";
    exit 1;
};
exit 0;

sub hold {
    if ( @plan && $plan[0][0] eq 'users' ) {
        my ( $name, @maps ) = @{ shift @plan };
        $step = $name;
        users(@maps);
    }
    check( 'unshare', syscall( $number->{unshare}, $CLONE_NEWNS ) );
    mount_call( 'none', '/', '', $MS_REC | $MS_SLAVE, '' );
    check( 'prctl', syscall( $number->{prctl}, $PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0 ) );
    my %operations = (
        disk    => \&disk,
        folder  => \&folder,
        idmap   => \&idmap,
        bind    => \&bind,
        overlay => sub { mount_call( 'overlay', $_[0], 'overlay', 0, $_[1] ) },
        scratch => sub { mount_call( 'tmpfs', $_[0], 'tmpfs', $MS_NOSUID | $MS_NODEV, 'mode=711,size=1m' ) },
        run     => \&run,
        memory  => sub { ($memory_events) = @_ },
        scope   => sub { ($scope) = @_ },
        probe   => sub { syswrite $answer_in, "ok 0 $said\n" },
        container => \&container,
    );
    die "the plan has no end\n" if !@plan || $plan[-1][0] !~ /^(?:probe|container)$/;
    for my $operation (@plan) {
        my ( $name, @fields ) = @$operation;
        $step = $name;
        syswrite $answer_in, "at $step\n";
        $operations{$name}->(@fields);
    }
}

# How a holder ended that has said nothing: only a signal from elsewhere does that.
sub ended {
    my ($pid) = @_;
    waitpid $pid, 0;
    my ( $signal, $status ) = ( $? & 127, $? >> 8 );
    return 'the holder was ended ' . ( $signal ? "by signal $signal" : "with status $status" );
}

# Of a child, without what Perl does at its end.
sub leave {
    syscall( $number->{exit_group}, $_[0] );
}

sub check {
    my ( $what, $result ) = @_;
    die "$what: $!\n" if $result < 0;
    return $result;
}

sub mount_call {
    my ( $source, $target, $type, $flags, $options ) = map { $_ } @_;
    check( "mount $target", syscall( $number->{mount}, $source, $target, $type, $flags, $options ) );
}

# Only a process outside may map ids: it waits until the namespace is there. The user's other groups are left behind.
sub users {
    my ( $uid_map, $gid_map ) = @_;
    my $inside = $$;
    pipe( my $ready, my $ready_in ) or die "pipe: $!\n";
    pipe( my $text,  my $text_in )  or die "pipe: $!\n";
    my $child = fork // die "fork: $!\n";
    if ( $child == 0 ) {
        close $ready_in;
        sysread( $ready, my $made, 1 ) or leave(0);
        syswrite $text_in, qx{newuidmap $inside $uid_map 2>&1 && newgidmap $inside $gid_map 2>&1};
        leave( $? == 0 ? 0 : 1 );
    }
    close $text_in;
    check( 'unshare', syscall( $number->{unshare}, $CLONE_NEWUSER ) );
    syswrite $ready_in, 'y';
    my $why = join '', <$text>;
    waitpid $child, 0;
    die( ( $why || 'newuidmap failed' ) . "\n" ) if $? != 0;
    $) = '0 0';
    ( $(, $<, $> ) = ( 0, 0, 0 );
}

sub run {
    my @command = @_;
    my $child = open( my $output, '-|' ) // die "fork: $!\n";
    if ( $child == 0 ) {
        open STDIN,  '<',  '/dev/null' or leave(126);
        open STDERR, '>&', \*STDOUT   or leave(126);
        exec {$command[0]} @command or leave(127);
    }
    ( $said = join '', <$output> ) =~ s/\s+/ /g;
    close $output;
    die "status $?: $said\n" if $? != 0;
}

# mount(8) finds a loop device that already has this file, so two mounts of one image share one device.
sub disk {
    my ( $image, $folder, $mode ) = @_;
    run( 'mount', '-t', 'ext4', '-o', join( ',', 'loop,noatime,nodev', $mode // () ), '--', $image, $folder );
}

sub folder {
    my ( $path, $uid ) = @_;
    return if -d $path;
    mkdir $path, 0755 or die "$path: $!\n";
    chown $uid, $uid, $path or die "$path: $!\n";
}

sub bind {
    my ( $source, $target ) = @_;
    mount_call( $source, $target, '', $MS_BIND, '' );
    mount_call( 'none', $target, '', $MS_BIND | $MS_REMOUNT | $MS_RDONLY, '' );
}

sub idmap {
    my ( $source, $target, $base, $disk ) = @_;
    my $users = user_namespace( $base, $disk // 0 );
    my ( $from, $to, $nothing ) = ( $source, $target, '' );    # syscall() wants strings that it might change
    my $tree  = check( "open_tree $source",
        syscall( $OPEN_TREE, $AT_FDCWD, $from, $OPEN_TREE_CLONE | $OPEN_TREE_CLOEXEC ) );
    my $attr = pack( 'Q4', $ATTR_IDMAP | $ATTR_RDONLY | $ATTR_NODEV, 0, 0, fileno $users );
    check( "mount_setattr $source",
        syscall( $MOUNT_SETATTR, $tree, $nothing, $AT_EMPTY_PATH, $attr, length $attr ) );
    check( "move_mount $target",
        syscall( $MOVE_MOUNT, $tree, $nothing, $AT_FDCWD, $to, $F_EMPTY_PATH ) );
    syscall( $number->{close}, $tree );
}

my %user_namespaces;

# The handle of a user namespace that maps 65536 ids to base; a child lives in it for as long as it takes to open it.
sub user_namespace {
    my ( $base, $disk ) = @_;
    my $mapping = "$disk $base 65536";
    return $user_namespaces{$mapping} if $user_namespaces{$mapping};
    pipe( my $ready,  my $ready_in )  or die "pipe: $!\n";
    pipe( my $finish, my $finish_in ) or die "pipe: $!\n";
    my $child = fork // die "fork: $!\n";
    if ( $child == 0 ) {
        close $finish_in;
        syswrite $ready_in, syscall( $number->{unshare}, $CLONE_NEWUSER ) < 0 ? 'n' : 'y';
        sysread $finish, my $nothing, 1;
        leave(0);
    }
    close $finish;
    sysread $ready, my $made, 1;
    die "user namespace: not permitted\n" if $made ne 'y';
    for my $kind ( 'uid', 'gid' ) {
        open( my $map, '>', "/proc/$child/${kind}_map" ) or die "${kind}_map: $!\n";
        syswrite $map, $mapping or die "${kind}_map: $!\n";
    }
    open( my $users, '<', "/proc/$child/ns/user" ) or die "ns/user: $!\n";
    close $finish_in;
    waitpid $child, 0;
    return $user_namespaces{$mapping} = $users;
}

sub container {
    my ( $uid, $pid_file, $exit_file, $log_file, $log_bytes, @command ) = @_;
    pipe( my $output, my $output_in ) or die "pipe: $!\n";
    chown $uid, $uid, $output_in or die "chown: $!\n";
    my $child = fork // die "fork: $!\n";
    if ( $child == 0 ) {
        open STDIN,  '<',  '/dev/null' or leave(126);
        open STDOUT, '>&', $output_in or leave(126);
        open STDERR, '>&', $output_in or leave(126);
        exec {$command[0]} @command or leave(127);
    }
    close $output_in;
    waitpid $child, 0;
    if ( $? != 0 ) {
        sysread $output, my $text, 65536;
        die "status $?: $text\n";
    }
    open( my $file, '<', $pid_file ) or die "$pid_file: $!\n";
    my $pid = <$file>;
    close $file;
    join_scope() if $scope;
    chdir '/';
    open STDIN,  '<', '/dev/null';
    open STDOUT, '>', '/dev/null';
    open STDERR, '>', '/dev/null';
    %user_namespaces = ();
    syswrite $answer_in, "ok $pid\n";
    close $answer_in;
    keep_log( $output, $log_file, $log_bytes );
    waitpid $pid, 0;
    my $status = $?;
    open( my $exit, '>', "$exit_file.new" ) or return;
    printf $exit "%d %d %d\n", $status, time, memory_kills();
    close $exit;
    rename "$exit_file.new", $exit_file;
}

# Into a group of its own there: one that processes are in directly may have no limits handed down. Only systemd may move
# a process that was started elsewhere.
sub join_scope {
    $step = 'scope';
    ( my $folder = $memory_events ) =~ s{/[^/]*$}{/holder};
    my @attach = (
        'busctl', '--user', 'call', 'org.freedesktop.systemd1', '/org/freedesktop/systemd1',
        'org.freedesktop.systemd1.Manager', 'AttachProcessesToUnit', 'ssau', $scope, '/holder', 1, $$
    );
    # A container that has ended by now took its scope along.
    eval { mkdir $folder or die "$folder: $!\n"; run(@attach); 1 } or !-e $memory_events or die $@;
    # Stopping the scope ends the container; how, is still to be written down.
    $SIG{TERM} = 'IGNORE';
}

sub memory_kills {
    open( my $events, '<', $memory_events // return 0 ) or return 0;
    my ($kills) = map { /^oom_kill (\d+)$/ } <$events>;
    return $kills // 0;
}

# Reads to the end, also what is over the cap, so that a talkative program neither blocks nor fills the disk. The end
# comes when the last process of the container is gone.
sub keep_log {
    my ( $output, $log_file, $log_bytes ) = @_;
    sysopen( my $log, $log_file, $O_WRONLY | $O_CREAT | $O_APPEND, 0600 );
    my $left = $log_bytes - ( $log ? -s $log : 0 );
    while ( sysread $output, my $chunk, 65536 ) {
        next if !$log || $left <= 0;
        syswrite $log, substr( $chunk, 0, $left );
        $left -= length $chunk;
    }
}
