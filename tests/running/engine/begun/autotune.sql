BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'begun');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_system_attributes" VALUES(1,1,'dashboard:objective_names','["val_accuracy"]');
INSERT INTO "study_system_attributes" VALUES(2,1,'autotune:parent:host-22421-7f870cab','{"beat": -1, "lease_s": 60.0, "slots": 1, "seen": "2026-11-30T03:32:32+00:00"}');
INSERT INTO "study_system_attributes" VALUES(3,1,'autotune:note','{"digest": "f9d56be0519f28c2956aca1b04320f3e72ec820cd0ad1e566575ab3ff880cdef", "advice": []}');
INSERT INTO "study_system_attributes" VALUES(4,1,'dashboard:note_ver','1');
INSERT INTO "study_system_attributes" VALUES(5,1,'dashboard:note_str:0','"A small study that was begun, and stopped in its third trial.\n\n| hyperparameter | range | |\n| --- | --- | --- |\n| dropout | a float from 0 to 0.5 |  |\n\n**Data** digits: 1,442 development rows of shape (8, 8, 1), 10 classes; Holdout(fraction=0.2)\n\n- Go on: `autotune resume begun`\n- How far it is: `autotune status begun`\n- The best: `autotune best begun`\n- Confirm and test: `autotune finalize begun`"');
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'autotune','{"study_file": "HERE/study.py", "n_trials": 4, "n_trials_given": false, "overrides": {"name": null, "epochs": null, "folds": null, "seed": null}, "seed": 0, "epochs": 3, "monitor": "val_accuracy", "epoch_policy": "best", "split": "1678281ce72d534016fa3b6b8014ad1f0b4546448fbfe9d7414cd9f9a8cb89c4", "threads": 2, "data_dir": null, "run_dir": "HERE/runs", "study_digest": "ff48f9c367808a940fc7b3beff05e9aea67388816e0563403ef4da1bdc109565", "artifacts": null, "token": "e92c13a7", "max_retries": 2, "part_of": null, "train_fraction": 1.0, "epochs_per_pass": 1, "tensorboard": null, "mlflow": null, "question": "A small study that was begun, and stopped in its third trial.", "data": "digits: 1,442 development rows of shape (8, 8, 1), 10 classes; Holdout(fraction=0.2)", "leaks": "", "minimize": []}');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,1,1.59169554710388183593e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,2,2.8027680516242980957e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,1,3,4.18685108423233032226e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(4,2,1,1.41868516802787780761e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(5,2,2,2.8027680516242980957e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(6,2,3,3.52941185235977172851e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(7,3,1,2.31833904981613159179e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(8,3,2,4.15224909782409667968e-01,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'dropout',1.67760134486481971016e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.5, "log": false}}');
INSERT INTO "trial_params" VALUES(2,2,'dropout',4.58114425292818705504e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.5, "log": false}}');
INSERT INTO "trial_params" VALUES(3,3,'dropout',2.44607144986782376605e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.5, "log": false}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_system_attributes" VALUES(1,1,'autotune:owner','{"parent": "host-22421-7f870cab", "place": "4fb28eaa-3ff4-4753-82a5-8ffd3fef7afe/65024/3114972", "lock": "host-22421-7f870cab.lock"}');
INSERT INTO "trial_system_attributes" VALUES(2,1,'artifacts:89c4f53b-6c26-4b60-82b5-9c28dceb0e7b','"{\"artifact_id\": \"89c4f53b-6c26-4b60-82b5-9c28dceb0e7b\", \"filename\": \"confusion.json\", \"mimetype\": \"application/json\", \"encoding\": null}"');
INSERT INTO "trial_system_attributes" VALUES(3,1,'artifacts:f48a0d96-4594-4536-8434-78701b0de9d4','"{\"artifact_id\": \"f48a0d96-4594-4536-8434-78701b0de9d4\", \"filename\": \"confusion.png\", \"mimetype\": \"image/png\", \"encoding\": null}"');
INSERT INTO "trial_system_attributes" VALUES(4,1,'artifacts:c1dc8bac-442a-4623-8869-5a370d8970ec','"{\"artifact_id\": \"c1dc8bac-442a-4623-8869-5a370d8970ec\", \"filename\": \"curves.png\", \"mimetype\": \"image/png\", \"encoding\": null}"');
INSERT INTO "trial_system_attributes" VALUES(5,1,'artifacts:e752df22-daa9-4d92-994f-7f2dd4076175','"{\"artifact_id\": \"e752df22-daa9-4d92-994f-7f2dd4076175\", \"filename\": \"history.json\", \"mimetype\": \"application/json\", \"encoding\": null}"');
INSERT INTO "trial_system_attributes" VALUES(6,2,'autotune:owner','{"parent": "host-22421-7f870cab", "place": "4fb28eaa-3ff4-4753-82a5-8ffd3fef7afe/65024/3114972", "lock": "host-22421-7f870cab.lock"}');
INSERT INTO "trial_system_attributes" VALUES(7,2,'artifacts:e4bc1890-ebd6-461f-b2e2-f4ce2a2669df','"{\"artifact_id\": \"e4bc1890-ebd6-461f-b2e2-f4ce2a2669df\", \"filename\": \"confusion.json\", \"mimetype\": \"application/json\", \"encoding\": null}"');
INSERT INTO "trial_system_attributes" VALUES(8,2,'artifacts:63fed37f-f396-4143-8dc9-99eacd3e497b','"{\"artifact_id\": \"63fed37f-f396-4143-8dc9-99eacd3e497b\", \"filename\": \"confusion.png\", \"mimetype\": \"image/png\", \"encoding\": null}"');
INSERT INTO "trial_system_attributes" VALUES(9,2,'artifacts:ea89cbc4-44d4-47fa-bd56-a1594cecab04','"{\"artifact_id\": \"ea89cbc4-44d4-47fa-bd56-a1594cecab04\", \"filename\": \"curves.png\", \"mimetype\": \"image/png\", \"encoding\": null}"');
INSERT INTO "trial_system_attributes" VALUES(10,2,'artifacts:153fe87b-2590-41fc-aed0-b559b301a491','"{\"artifact_id\": \"153fe87b-2590-41fc-aed0-b559b301a491\", \"filename\": \"history.json\", \"mimetype\": \"application/json\", \"encoding\": null}"');
INSERT INTO "trial_system_attributes" VALUES(11,3,'autotune:owner','null');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'best_epoch','3');
INSERT INTO "trial_user_attributes" VALUES(2,1,'fit_seconds','0.5887224430007336');
INSERT INTO "trial_user_attributes" VALUES(3,1,'process_seconds','1.2637716380013444');
INSERT INTO "trial_user_attributes" VALUES(4,1,'n_parameters','650');
INSERT INTO "trial_user_attributes" VALUES(5,2,'best_epoch','3');
INSERT INTO "trial_user_attributes" VALUES(6,2,'fit_seconds','0.7078255200012791');
INSERT INTO "trial_user_attributes" VALUES(7,2,'process_seconds','1.8072478570011299');
INSERT INTO "trial_user_attributes" VALUES(8,2,'n_parameters','650');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,4.18685108423233032226e-01,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,3.52941185235977172851e-01,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-30 03:32:28.127388','2026-11-30 03:32:29.475068');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-30 03:32:29.492635','2026-11-30 03:32:31.388716');
INSERT INTO "trials" VALUES(3,2,1,'WAITING','2026-11-30 03:32:31.397760',NULL);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
