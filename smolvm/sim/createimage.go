//go:build linux

package sim

import "errors"

// create stores a new record, of an image or a pack where the command line names one; adjust, which may be nil, has the last word
// on it.
func (s *session) create(name string, g grammar, a arguments, adjust func(*record) error) (record, error) {
	if a.has("from") && a.has("image") {
		return record{}, g.fail("the argument '--from <PATH>' cannot be used with '--image <IMAGE>'")
	}
	r, err := newRecord(name, g, a)
	if err == nil && !s.CreateReserves {
		err = s.store().absent(name)
	}
	if err != nil {
		return r, err
	}
	if err := s.setGuest(&r, a); err != nil {
		return r, err
	}
	settle := func() error {
		if adjust != nil {
			if err := adjust(&r); err != nil {
				return err
			}
		}
		return s.hostsResolve(r)
	}
	if !a.has("from") {
		if err := settle(); err != nil {
			return r, err
		}
		return r, s.insertWithImage(&r, a)
	}
	// A pack's layers are in use once the record says so.
	return r, s.layers().shared(func() error {
		if err := s.createFrom(&r, a); err != nil {
			return err
		}
		s.dropForPack(&r, a)
		if err := settle(); err != nil {
			return err
		}
		return s.insert(r)
	})
}

// setGuest reads the flags about what is in the guest.
func (s *session) setGuest(r *record, a arguments) error {
	var err error
	if r.Volumes, err = volumes(a.all("volume")); err != nil {
		return err
	}
	r.Init = a.all("init")
	return s.setImage(r, a)
}

// setImage reads --image. What a registry has is asked at the first start.
func (s *session) setImage(r *record, a arguments) error {
	image := a.one("image", "")
	switch {
	case image == "" && a.has("image") && s.EmptyImageFails:
		return configError("create machine", "%w", checkReference(""))
	case image == "":
		return nil
	case image == "-" && s.LocalImages && a.has("interactive"):
		return configError("create machine", "--image - reads the image from stdin, which cannot be the command's too")
	case image == "-" && s.LocalImages:
		r.Image = localName("-/" + r.Name)
		return nil
	case localPath(image) && s.LocalImages:
		return r.setLocalImage(image)
	}
	r.Image = image
	if s.PullNeedsNet && !r.Network {
		return configError("create machine", "image '%s' has to be pulled and the machine has no network: add --net", image)
	}
	return nil
}

// insertWithImage stores a record, and with it the image that comes through stdin.
func (s *session) insertWithImage(r *record, a arguments) error {
	if err := s.insert(*r); err != nil {
		return err
	}
	if a.one("image", "") != "-" || !s.LocalImages {
		return nil
	}
	path, err := s.spool(s.machineOf(*r))
	if err == nil {
		r.Archive = path
		err = s.store().update(r.Name, func(stored *record) { stored.Archive = path })
	}
	if err != nil {
		return errors.Join(err, s.discard(s.machineOf(*r)))
	}
	return nil
}

// discard removes a machine that does not run, without a word.
func (s *session) discard(m machine) error {
	return errors.Join(removeTree(m.dir), s.store().remove(m.Name))
}
