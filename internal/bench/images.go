package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"bottle.internal/bottletest"
	"bottle.internal/internal/hostimage"
)

// images measures what an image costs once it is prepared. The registry is one of this process's: a figure has the question for the
// reference's content in it, and not a network.
func images(ctx context.Context) ([]figure, error) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	// A repository of this run's own: the first Prepare has to make the pack.
	image := fmt.Sprintf("%s/bench-%d:latest", strings.TrimPrefix(server.URL, "http://"), os.Getpid())
	if err := pushImage(ctx, image); err != nil {
		return nil, err
	}
	var first, second, up stopwatch
	if err := first.time(func() error { return prepareOnce(ctx, image, true) }); err != nil {
		return nil, err
	}
	defer forget(ctx, image)
	for range rounds {
		if err := second.time(func() error { return prepareOnce(ctx, image, false) }); err != nil {
			return nil, err
		}
	}
	for range launchRounds {
		if err := launchImage(ctx, image, &up); err != nil {
			return nil, err
		}
	}
	how := fmt.Sprintf("median of %d, a registry on the loopback", rounds)
	return []figure{
		{"first Prepare of an image", first.median(), "ms", 0, "once; makes the pack"},
		{"second Prepare of the same image", second.median(), "ms", 30, how},
		{"launch from a prepared image", up.median(), "ms", 0, fmt.Sprintf("median of %d; launch gate included", launchRounds)},
	}, nil
}

func pushImage(ctx context.Context, image string) error {
	ref, err := name.ParseReference(image)
	if err != nil {
		return err
	}
	img, err := hostimage.New(ctx, nil)
	if err != nil {
		return err
	}
	return remote.Write(ref, img, remote.WithContext(ctx))
}

// prepareOnce fails where the pack was made although it is there, or found although it cannot be: the figure would be another's.
func prepareOnce(ctx context.Context, image string, made bool) error {
	p, err := bottletest.Prepare(ctx, image, bottletest.PrepareOptions{Engine: bottletest.Simulator})
	if err != nil {
		return err
	}
	if p.Made != made {
		err = fmt.Errorf("preparing %s made a pack: %t, want %t", image, p.Made, made)
	}
	if closeErr := p.Close(); err == nil {
		err = closeErr
	}
	return err
}

// forget takes the pack out of the user's cache: no later run finds it, whose registry has another port.
func forget(ctx context.Context, image string) {
	p, err := bottletest.Prepare(context.WithoutCancel(ctx), image, bottletest.PrepareOptions{Engine: bottletest.Simulator, Offline: true})
	if err == nil {
		err = errors.Join(os.RemoveAll(filepath.Dir(p.Boot)), p.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: a pack is left in the cache:", err)
	}
}

func launchImage(ctx context.Context, image string, up *stopwatch) error {
	var b *bottletest.Bottle
	err := up.time(func() (err error) {
		b, err = bottletest.Run(ctx, bottletest.Config{Name: "bench", Engine: bottletest.Simulator, Image: image})
		return err
	})
	if err != nil {
		return err
	}
	return b.Close(ctx)
}
