// Package sim is smolvm-sim: smolvm's command line on any Linux, without KVM and without an image registry.
//
// A machine is a set of user, mount, pid, ipc, uts, cgroup and network namespaces. Three processes make one:
//
//	smolvm-sim _boot-vm    the supervisor, in the host's namespaces: user-space network, pid file, log
//	smolvm-sim _helper     short-lived: configures the guest's network namespace, mounts its root file system
//	smolvm-sim _init       pid 1 of the guest: executes commands, copies files, reaps
//
// The guest's network namespace belongs to the helper's user namespace, not to the guest's, so guest root holds no
// capability over it: its routes, its TUN device and its addresses are out of its reach.
//
// A personality (SMOLVM_SIM_VERSION) reproduces one release's grammar, messages, exit codes, JSON and network behaviour.
// What differs between releases is data: the rows of differences, and the since and until of options and JSON fields.
//
// It is a double to develop and test against. It is not a security boundary: guest and host share one kernel.
//
// # The environment
//
// SMOLVM_SIM_VERSION, SMOLVM_SIM_FAULTS and SMOLVM_SIM_WORLD are read by every command; a machine lives with what its start
// saw. An unknown release or fault is an error of every command. Records are below $XDG_DATA_HOME/smolvm-sim and disks below
// $XDG_CACHE_HOME/smolvm-sim, with the defaults of the XDG specification; smolvm's own state is never touched.
//
// # What differs from smolvm
//
//   - A guest has the host's kernel, its /usr (below a writable layer of the machine's own) and no /sys; smolvm's bare guest is
//     Alpine. Files of the host's root belong to nobody in the guest, and guest root cannot change their content. The
//     directories of the top two levels of /usr are the guest's, so it can create and replace files there.
//   - Guest root holds docker's default capabilities without the network's and MKNOD, and no_new_privs: it cannot mount, set the
//     clock, load modules or configure interfaces. In a VM it can. AF_VSOCK does not exist. It pings on virtio-net by ping sockets,
//     which all groups may have; a VM's root has raw ones.
//   - --cpus, --mem, --storage and --overlay are recorded and not enforced; there are no disk images, and no size of one.
//   - Without subordinate ids (an ordinary user) the guest has one id, 0: su, chown to another user and package managers fail.
//   - What of smolvm is not simulated is refused by name: see the options marked unsimulated, and unsimulatedMachine,
//     unsimulatedPack and unsimulatedPrograms.
//   - An image is pulled by start itself and not in the guest, without credentials, and only from a registry on this host: one of its
//     own addresses, localhost or *.localhost. Any other fails as on a host without a network. Loopback is the host's own,
//     whatever the backend.
//   - Layers are unpacked on the host, once, and shared by all machines of a user; smolvm has them in each machine, and packs flattened.
//     Extended attributes are not kept, devices are not made, and the ids of a file are below 65536 or nobody's. Where the user has
//     one id only, files and processes are root's.
//   - A container is the guest itself: one pid namespace for all commands of a machine, /run is the image's. Up to 1.4.0 what a
//     command left behind in its session is killed at its end; what made a session of its own lives on.
//   - A .smolmachine has a format of its own, is not compressed, and cannot be exchanged with smolvm's. The stub is a script.
//     --single-file is refused. A volume's files have the host's ids where its file system can map them, else they are nobody's.
//   - machine images and prune boot nothing, and prune looks at the layers of all machines. The end of an ephemeral machine whose
//     command was killed is the next command's, as in smolvm; its guest lives until then.
//   - Texts of which only the meaning is known are made up: the hints of create, the table of ls, the help, the words after
//     "select network backend", "parse CIDR", "validate machine name", "parse volume", "resolve image", "flatten image", "pull image",
//     "init", "pack create" and "cp", the tables of images, the output of prune, inspect and update, the table of egress-events,
//     serve's help, and the progress of cp, which is one line. clap's "tip:" lines are absent.
//   - The reservation of a create ends with it: no "is being created" and none that goes stale.
//   - Below 1.4.1 two commands at once on an image machine can find each other's config.json only within 5 ms; SMOLVM_SIM_FAULTS=
//     exec-config-race lets them meet for certain. None fails with "load config.json", and none joins the container of an -i or
//     --stream command. A large cp is seen by a running workload in every release (#997).
//   - "database is locked" never happens: records are files under one lock.
//   - exec of an unknown image machine whose record cannot be read fails; smolvm up to 1.9.3 runs it in the bare guest.
//   - serve has health, openapi without schemas, and machines with start, stop and exec; no exec/stream, files, images, logs, metrics.
//     It refuses a socket that somebody listens at, where smolvm takes it over. Its records tell the backend and the policy from 1.3.0
//     on: v0.8.0 does not and later releases do, where in between is not known. Its errors' texts are the command line's.
//   - A start whose command is killed while it waits for the guest ends the guest, where SMOLVM_SIM_FAULTS=start-hangs does not have it
//     live on below 1.5.0; smolvm leaves a _boot-vm behind. Once the guest is up this does so, too, and so does a v0.8.0 delete of a
//     running machine; the hidden command _sweep ends such orphans, as do the next start and stop from 1.5.0 on.
//   - Starts may run in parallel in every release; v0.8.0 to 1.2.4 share one readiness marker.
//   - ping, status and stop are served while eight commands run; smolvm's agent makes them wait.
//   - The stored pid is the supervisor's, and its start time is checked: a reused pid is never taken for the machine.
//   - SMOLVM_SIM_FAULTS=exec-137-once gives 137 in every release; no signal is involved.
package sim
