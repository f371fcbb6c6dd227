package killing

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"bottle.internal/bottletest"
	"bottle.internal/internal/gobuild"
	"bottle.internal/probes"
	"bottle.internal/probes/mutants"
)

// cheap are the options of every batch. One attempt is enough where the wall is known to be broken or to stand; that a denial is
// repeated is the judge's, and tested there.
var cheap = probes.Options{Attempts: 1, Silence: 100 * time.Millisecond, Budget: 400 * time.Millisecond, Serving: 400 * time.Millisecond}

// A runner runs mutants. Launching one bottle goes on beside the probing of another, and probes have the host to themselves: they
// take ports of it.
type runner struct {
	dir  string
	logf func(string, ...any)
	all  []mutants.Mutant

	alone             sync.Mutex // held while a batch is under way
	packing, building sync.Mutex // what one bottle waits for the next finds made

	mu    sync.Mutex
	rows  []broken
	sound map[mutants.Base]probes.Report
	about []bottletest.Description
	wrong []error // of sound bottles
}

// A broken is a mutant that was run.
type broken struct {
	mutants.Row
	report probes.Report
}

// A job is one bottle: the sound one of a base with the mutants that are made of it while it is up, or one mutant.
type job struct {
	on    mutants.Base
	sound bool
	made  []mutants.Mutant
}

// jobs are the bottles that the mutants of all need.
func jobs(all []mutants.Mutant) []job {
	var list []job
	for _, b := range mutants.Bases(all) {
		j := job{on: b, sound: true}
		for _, m := range all {
			if slices.Contains(m.On, b) && !m.Edit.Relaunches() {
				j.made = append(j.made, m)
			}
		}
		list = append(list, j)
	}
	for _, m := range all {
		for _, b := range m.On {
			if m.Edit.Relaunches() {
				list = append(list, job{on: b, made: []mutants.Mutant{m}})
			}
		}
	}
	return list
}

// workers are how many bottles are up at a time.
const workers = 2

// Run runs all, and returns the matrix in their order and what the bottles were. An error is of a bottle that was to be sound: what the
// matrix says of the others stands. logf is told each step; dir takes what is built for some mutants.
func Run(ctx context.Context, dir string, logf func(string, ...any), all []mutants.Mutant) (mutants.Matrix, []bottletest.Description, error) {
	r := &runner{dir: dir, logf: logf}
	m, err := r.run(ctx, all)
	return m, r.about, err
}

func (r *runner) run(ctx context.Context, all []mutants.Mutant) (mutants.Matrix, error) {
	r.all = all
	r.sound = make(map[mutants.Base]probes.Report)
	queue := make(chan job)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for j := range queue {
				r.one(ctx, j)
			}
		})
	}
	for _, j := range jobs(all) {
		queue <- j
	}
	close(queue)
	group.Wait()
	return r.matrix(all), errors.Join(r.wrong...)
}

// matrix puts what was found together, in the order of the list.
func (r *runner) matrix(all []mutants.Mutant) mutants.Matrix {
	m := mutants.Matrix{Schema: mutants.Schema, Sound: make(map[string]probes.Report)}
	for base, report := range r.sound {
		m.Sound[base.String()] = report
	}
	for _, x := range all {
		for _, on := range x.On {
			i := slices.IndexFunc(r.rows, func(b broken) bool { return b.Mutant.Name == x.Name && b.On == on })
			if i < 0 {
				continue
			}
			b := r.rows[i]
			sound, ok := r.sound[on]
			if !ok && b.Error == "" {
				b.Error = "there is no report of the sound bottle to compare it with"
			}
			if b.Error == "" && b.Refused == "" {
				row := mutants.NewRow(x, on, b.Engine, b.report, sound)
				row.Effect, row.Seconds = b.Effect, b.Seconds
				b.Row = row
			}
			m.Rows = append(m.Rows, b.Row)
		}
	}
	return m
}

// one launches a bottle and runs what is made of it.
func (r *runner) one(ctx context.Context, j job) {
	start := time.Now()
	edit := mutants.Edit{}
	if !j.sound {
		edit = j.made[0].Edit
	}
	made := new(command)
	b, err := r.launch(ctx, edit, j.on, made)
	if err != nil {
		r.lost(j, err)
		return
	}
	tidy := leftBy(ctx, edit, b)
	defer func() {
		if err := errors.Join(b.Close(ctx), tidy()); err != nil {
			r.logf("%v", err)
		}
	}()
	if j.sound {
		r.reference(ctx, j.on, b)
	}
	for _, m := range j.made {
		row := r.probe(ctx, m, j.on, b, made)
		row.Seconds = time.Since(start).Seconds()
		r.keep(row)
		start = time.Now()
	}
}

func (r *runner) launch(ctx context.Context, e mutants.Edit, on mutants.Base, made *command) (*bottletest.Bottle, error) {
	c, err := r.config(ctx, e, on, made)
	if err != nil {
		return nil, err
	}
	b, err := bottletest.Run(ctx, c)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.about = append(r.about, b.Describe())
	return b, nil
}

// reference is the report of a sound bottle.
func (r *runner) reference(ctx context.Context, on mutants.Base, b *bottletest.Bottle) {
	scenes := scenesOf(r.all, on)
	options := cheap
	options.Scenes = len(scenes) > 0
	r.alone.Lock()
	report, err := b.ProbeWith(ctx, options, asked(scenes)...)
	r.alone.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.wrong = append(r.wrong, fmt.Errorf("the sound bottle %s: %w", on, err))
		return
	}
	r.sound[on] = report
}

func (r *runner) keep(b broken) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, b)
}

// lost notes that nothing is known of a job's mutants.
func (r *runner) lost(j job, err error) {
	if j.sound {
		r.mu.Lock()
		r.wrong = append(r.wrong, fmt.Errorf("the sound bottle %s: %w", j.on, err))
		r.mu.Unlock()
	}
	for _, m := range j.made {
		row := mutants.Row{Mutant: m, On: j.on}
		var refused *bottletest.LaunchError
		if errors.As(err, &refused) && refused.Step == m.RefusedAt {
			row.Refused = refused.Err.Error()
		} else {
			row.Error = err.Error()
		}
		r.keep(broken{Row: row})
	}
}

// probe has the edit checked and asks the whole catalogue.
func (r *runner) probe(ctx context.Context, m mutants.Mutant, on mutants.Base, b *bottletest.Bottle, made *command) broken {
	row := broken{Row: mutants.Row{Mutant: m, On: on, Engine: b.Plan().Engine}}
	fail := func(err error) broken {
		row.Error = err.Error()
		return row
	}
	var err error
	if row.Effect, err = r.effects(ctx, m.Edit, b, made); err != nil {
		return fail(err)
	}
	options := cheap
	options.Scenes = m.Scenes
	patterns := asked(scenesOf([]mutants.Mutant{m}, on))
	undo, line, err := r.spoil(ctx, m.Edit, b, &options)
	if err != nil {
		return fail(err)
	}
	if line != "" {
		row.Effect = append(row.Effect, line)
	}
	r.alone.Lock()
	row.report, err = b.ProbeWith(ctx, options, patterns...)
	r.alone.Unlock()
	if err := errors.Join(err, undo()); err != nil {
		return fail(err)
	}
	if len(row.Effect) == 0 {
		return fail(errors.New("nothing shows that the edit took effect"))
	}
	return row
}

// spoil carries out what is done to a bottle that is up. undo makes it sound again where that can be.
func (r *runner) spoil(ctx context.Context, e mutants.Edit, b *bottletest.Bottle, o *probes.Options) (undo func() error, line string, err error) {
	undo = func() error { return nil }
	switch {
	case e.Canaries == mutants.ClosedCanaries:
		o.Listen = listenThenClose
		return undo, "every canary gave its port back at once", nil
	case e.World == mutants.WorldGone:
		line, err = breakWorld(ctx, b)
		return undo, line, err
	case e.Agent != "":
		liar, err := buildLiar(ctx, r.dir, e.Agent)
		if err != nil {
			return undo, "", err
		}
		line, err = replaceAgent(ctx, b, liar, r.dir)
		return func() error {
			agent, err := gobuild.Binary(ctx, gobuild.Target{Command: "bottle-agent", GOOS: "linux"})
			if err != nil {
				return err
			}
			return b.CopyTo(ctx, agent, agentPath, 0o755)
		}, line, err
	}
	return undo, "", nil
}

// listenThenClose takes the port of a canary and gives it back, so that the canary's address exists and nothing listens there.
func listenThenClose(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	if err == nil {
		err = l.Close()
	}
	return l, err
}

// hostAddress is an address of this host that is not its loopback.
func hostAddress() netip.Addr {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}
