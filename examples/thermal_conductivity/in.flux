# The heat flux of silicon at constant energy. Called by run.py, or by hand:
#   mpiexec -n 2 lmp -in in.flux -var model model.pt -var data silicon.data -var flux flux.dat
# Further variables, with defaults: temperature, seed, start_steps, steps, every.

variable temperature index 1000     # K
variable seed        index 1
variable start_steps index 1000     # of 1 fs with a thermostat, before the flux is written
variable steps       index 10000    # of 1 fs at constant energy
variable every       index 8        # fs between two values of the flux; the fastest phonon has a period of 65 fs

units metal
atom_style atomic
newton on
read_data ${data}

pair_style equipot
pair_coeff * * ${model} Si
neighbor 1.0 bin
neigh_modify delay 0 every 1 check yes
timestep 0.001

# Half of the heat goes into the bonds at once; the thermostat needs to correct little.
variable twice equal 2*v_temperature
velocity all create ${twice} ${seed} loop geom mom yes rot no
fix bath all temp/csvr ${temperature} ${temperature} 0.1 ${seed}
fix move all nve
thermo 100
run ${start_steps}
unfix bath
velocity all zero linear
reset_timestep 0

# Only centroid/stress/atom gives the flux of a network that passes messages: docs/lammps.md. The first three
# components are the whole flux times the volume, in eV Å/ps.
compute ke all ke/atom
compute pe all pe/atom
compute share all centroid/stress/atom NULL virial
compute flux all heat/flux ke pe share
fix write all ave/time ${every} 1 ${every} c_flux[1] c_flux[2] c_flux[3] file ${flux} format " %.10g"

thermo_style custom step temp etotal press
thermo_modify norm no format float %.12g
run ${steps}
